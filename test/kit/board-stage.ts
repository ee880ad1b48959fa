// The example with several people in it, each with a tab.

import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import type { Test } from 'tap'
import { emptyDatabase } from './board-database.js'
import { isLive, logIn, openPage } from './board-page.js'
import { Relay } from './relay.js'
import { TaskBoard, type Visitor } from './task-board.js'

/** More events than a scenario makes, and few enough for one to push the others out. */
export const HISTORY = 30

/**
 * The example with two people who have it open, for many scenarios: a browser and its pages take longer to open than most
 * scenarios last. Each scenario takes both into a room of its own.
 */
export class BoardStage {
  readonly board: TaskBoard
  readonly browser: Browser
  /** Between Ann and the server. */
  readonly relay: Relay
  /** Where psql finds the database; nothing where there is no Postgres on this machine. */
  readonly databaseUrl: string | undefined
  readonly ann: Page
  readonly bob: Page
  readonly #visitor: Visitor
  readonly #t: Test
  #rooms = 0

  private constructor(
    t: Test,
    browser: Browser,
    board: TaskBoard,
    databaseUrl: string | undefined,
    relay: Relay,
    people: [Page, Page],
    by: Visitor
  ) {
    this.#t = t
    this.browser = browser
    this.board = board
    this.databaseUrl = databaseUrl
    this.relay = relay
    this.ann = people[0]
    this.bob = people[1]
    this.#visitor = by
  }

  static async open(t: Test, browser: Browser): Promise<BoardStage> {
    const database = await emptyDatabase()
    const board = await TaskBoard.serve(t, { database, pylonSse: { history: { events: HISTORY } } })
    const relay = new Relay()
    const ann = await openPage(t, browser, await relay.listen(t, board.port))
    const bob = await openPage(t, browser, board.url)
    await logIn(ann, 'Ann')
    await logIn(bob, 'Bob')
    return new BoardStage(t, browser, board, database.url, relay, [ann, bob], await board.visitor('Dan'))
  }

  /** The room that was entered last. */
  get room(): string {
    return `room-${this.#rooms}`
  }

  /** The streams to that room. */
  get streams(): number {
    return [...this.board.app.sse.clients].filter(({ topics }) => topics.includes(`room.${this.room}`)).length
  }

  /** Takes these into a new room, which has these tasks. Resolves with somebody who is in there without a browser. */
  async enterRoom(titles: string[] = [], people: Page[] = [this.ann, this.bob]): Promise<Visitor> {
    this.#rooms++
    const { room } = this
    await this.#visitor.call('POST', '/api/rooms', { title: room })
    const visitor = await this.board.visitor('Dan', room)
    for (const title of titles) await visitor.create(title)
    for (const page of people) await goTo(page, room)
    return visitor
  }

  /** Somebody else, in a browser window of these properties. */
  async open(name: string, room: string, options: BrowserContextOptions): Promise<Page> {
    const page = await openPage(this.#t, this.browser, `${this.board.url}/#${room}`, options)
    await logIn(page, name)
    await isLive(page)
    return page
  }
}

/** Goes to a room whose title is its name, as by a link. */
export async function goTo(page: Page, room: string): Promise<void> {
  await page.evaluate(`location.hash = '${room}'`)
  await page.getByRole('heading', { level: 1, name: room }).waitFor()
  await isLive(page)
  await page.locator('.board[aria-busy=false]').waitFor()
}

/** Goes to the list of rooms. */
export async function goToLobby(page: Page): Promise<void> {
  await page.getByTestId('all-rooms').click()
  await page.getByRole('heading', { level: 1, name: 'Rooms' }).waitFor()
  await isLive(page)
}
