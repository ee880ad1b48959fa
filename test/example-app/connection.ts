import type { Page } from 'playwright-core'
import type { Test } from 'tap'
import { add, card, isLive, openTab, says, shows } from '../kit/board-page.js'
import { type BoardStage, goTo, goToLobby } from '../kit/board-stage.js'
import { deferred } from '../kit/deferred.js'
import { eventually } from '../kit/processes.js'
import { changesOf } from '../kit/task-board.js'

const LEADS = 'This tab keeps the connection'
const FOLLOWS = 'Uses another tab’s connection'

/** Has a page keep the states that it shows one after the other, and returns what reads them. */
async function keepStates(page: Page): Promise<() => Promise<string[]>> {
  await page.evaluate(`
    states = [document.getElementById('connection').dataset.state]
    observer = new MutationObserver((records) => {
      // Each record has the value before, so that none is left out.
      const after = [...records.slice(1).map(({ oldValue }) => oldValue), document.getElementById('connection').dataset.state]
      for (const state of after) if (state !== states.at(-1)) states.push(state)
    })
    observer.observe(document.getElementById('connection'), { attributeFilter: ['data-state'], attributeOldValue: true })
  `)
  return async () => (await page.evaluate('observer.disconnect(); states')) as string[]
}

/** What a page says of its connection, and the connection that tabs have in common. */
export function connection(t: Test, stage: BoardStage): void {
  const { ann, relay } = stage

  t.test('a tab says that the server is away, that it catches up on its return, and that it is live', async (t) => {
    const dan = await stage.enterRoom([], [ann])
    const watching = await dan.stream()
    const states = await keepStates(ann)
    relay.cut()
    await says(ann, 'connection', 'Reconnecting')
    const titles = Array.from({ length: 9 }, (_, i) => `Missed ${i}`)
    for (const title of titles) await dan.create(title)
    await changesOf(watching, titles.length)
    relay.target = stage.board.port
    await says(ann, 'notice', 'Caught up: 9 tasks have changed')
    await isLive(ann)
    t.strictSame(await states(), ['live', 'reconnecting', 'catching-up', 'live'])
    await shows(t, ann, { todo: titles.toReversed() }, 'with all that it has missed')
  })

  t.test('a tab says that it catches up while it loads, and misses nothing meanwhile', async (t) => {
    const dan = await stage.enterRoom(['Before'], [])
    const [asked, released] = [deferred(), deferred()]
    await ann.route(
      `**/api/rooms/${stage.room}`,
      async (route) => {
        const response = await route.fetch()
        asked.resolve()
        await released.promise
        await route.fulfill({ response })
      },
      { times: 1 }
    )
    await ann.evaluate(`location.hash = '${stage.room}'`)
    await asked.promise
    await says(ann, 'connection', 'Catching up')
    await dan.create('Meanwhile')
    await shows(t, ann, {}, 'nothing yet')
    released.resolve()
    await isLive(ann)
    await shows(t, ann, { todo: ['Meanwhile', 'Before'] }, 'and then all')
  })

  t.test('two tabs have one connection, and when the one that keeps it is closed the other goes on', async (t) => {
    const dan = await stage.enterRoom(['Before'], [])
    await goToLobby(ann)
    const first = await openTab(ann)
    await goTo(first, stage.room)
    await says(first, 'connection', LEADS)
    await goTo(ann, stage.room)
    await says(ann, 'connection', FOLLOWS)
    t.equal(stage.streams, 1)
    await add(first, 'By the first')
    await shows(t, ann, { todo: ['By the first', 'Before'] }, 'what is done in one tab is seen in the other')
    await add(ann, 'By the second')
    await card(first, 'By the second').waitFor()
    await dan.create('By Dan')
    const todo = ['By Dan', 'By the second', 'By the first', 'Before']
    for (const page of [first, ann]) await shows(t, page, { todo }, 'both ways, and what others do in both')
    await says(ann, 'people', /^AAnn \(you\)$/)

    await Promise.all([first.close(), dan.create('During')])
    await says(ann, 'connection', LEADS)
    await isLive(ann)
    await dan.create('After')
    await shows(t, ann, { todo: ['After', 'During', ...todo] }, 'with nothing lost and nothing twice')
    await eventually(() => stage.streams === 1, 'the connection of the closed tab is gone')
  })

  t.test('tabs in different rooms have connections of their own, so that a room knows who has left', async (t) => {
    await stage.enterRoom()
    const { room } = stage
    const other = await openTab(ann)
    await says(other, 'connection', FOLLOWS)
    await goToLobby(other)
    await says(other, 'connection', LEADS)
    await says(stage.bob, 'people', /^AAnnBBob \(you\)$/)
    await goToLobby(ann)
    await says(stage.bob, 'people', /^BBob \(you\)$/)
    await goTo(other, room)
    await says(stage.bob, 'people', /^AAnnBBob \(you\)$/)
    t.equal(stage.streams, 2)
    await other.close()
  })
}
