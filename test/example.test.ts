import { mkdtemp } from 'node:fs/promises'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import type { Browser, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import type { PylonSseOptions } from '../lib/index.js'
import { launchChromium } from './kit/chromium.js'
import { deferred } from './kit/deferred.js'
import { PATIENCE } from './kit/patience.js'
import { connect, type SseClient } from './kit/sse-client.js'

interface BoardOptions {
  pylonSse?: PylonSseOptions
  maxTasks?: number
}

// The example is JavaScript, and uses the built package as its users do.
const { buildApp } = (await import(new URL('../example-app/app.js', import.meta.url).href)) as {
  buildApp(options?: BoardOptions): FastifyInstance
}

interface Task {
  id: string
  title: string
  status: string
  position: number
}

interface Board {
  app: FastifyInstance
  port: number
  call<Body = unknown>(
    method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
    path: string,
    body?: unknown
  ): Promise<{ status: number; body: Body }>
  create(title: string): Promise<Task>
}

async function serveBoard(t: Test, options: BoardOptions = {}): Promise<Board> {
  const app = buildApp(options)
  t.teardown(() => app.close())
  await app.listen({ host: '127.0.0.1', port: 0 })
  const call: Board['call'] = async (method, path, body) => {
    const isText = typeof body === 'string'
    const response = await app.inject({
      method,
      url: `/api/tasks${path}`,
      ...(body !== undefined && {
        payload: isText ? body : JSON.stringify(body),
        headers: { 'content-type': 'application/json' }
      })
    })
    return { status: response.statusCode, body: response.body === '' ? undefined : response.json() } as never
  }
  return {
    app,
    port: (app.server.address() as net.AddressInfo).port,
    call,
    create: async (title) => (await call<Task>('POST', '', { title })).body
  }
}

/** Stands between the browser and a server, which may be another one later. */
class Relay {
  readonly #server = net.createServer((socket) => this.#accept(socket))
  readonly #sockets = new Set<net.Socket>()
  /** The port of the server; none while the network is gone. */
  target: number | undefined

  async listen(t: Test, target: number): Promise<string> {
    this.target = target
    const listening = deferred()
    this.#server.listen(0, '127.0.0.1', () => listening.resolve())
    await listening.promise
    t.teardown(() => {
      this.cut()
      this.#server.close()
    })
    return `http://127.0.0.1:${(this.#server.address() as net.AddressInfo).port}`
  }

  cut(): void {
    this.target = undefined
    for (const socket of this.#sockets) socket.destroy()
  }

  #accept(socket: net.Socket): void {
    if (this.target === undefined) {
      socket.destroy()
      return
    }
    const upstream = net.connect(this.target, '127.0.0.1')
    for (const [end, other] of [
      [socket, upstream],
      [upstream, socket]
    ] as const) {
      this.#sockets.add(end)
      end.pipe(other)
      end
        .on('error', () => {})
        .on('close', () => {
          this.#sockets.delete(end)
          other.destroy()
        })
    }
  }
}

const browser: Browser | undefined = await launchChromium(t)

/** Opens the board in a tab of its own, once it is live. */
async function openTab(t: Test, url: string): Promise<Page> {
  const context = await browser!.newContext()
  t.teardown(() => context.close())
  const page = await context.newPage()
  page.setDefaultTimeout(2 * PATIENCE)
  await page.goto(url)
  await page.getByTestId('connection').and(page.getByText('Live')).waitFor()
  return page
}

/** The titles in the columns, once they are these: a wait for an event would be one for its effect on the page. */
async function shows(
  t: Test,
  page: Page,
  columns: { todo?: string[]; doing?: string[]; done?: string[] },
  what: string
) {
  const { todo = [], doing = [], done = [] } = columns
  const expected = JSON.stringify([todo, doing, done])
  const read = `JSON.stringify([...document.querySelectorAll('.column')].map((column) =>
    [...column.querySelectorAll('[data-testid=task-title]')].map((title) => title.textContent)))`
  await page.waitForFunction(`${read} === ${JSON.stringify(expected)}`).catch(() => {})
  t.equal(await page.evaluate(read), expected, what)
}

function card(page: Page, title: string) {
  return page.getByTestId('task').filter({ has: page.getByText(title, { exact: true }) })
}

async function says(page: Page, testId: string, text: string | RegExp): Promise<void> {
  await page.getByTestId(testId).filter({ hasText: text }).waitFor()
}

t.test('what is done in one tab is seen in the other', { skip: !browser }, async (t) => {
  const { port } = await serveBoard(t)
  const url = `http://127.0.0.1:${port}`
  const [one, other] = [await openTab(t, url), await openTab(t, url)]

  for (const title of ['Water the plants', 'Write a letter', 'Bake bread']) {
    await one.getByTestId('new-title').fill(title)
    await one.getByTestId('new-submit').click()
    await card(one, title).waitFor()
  }
  await shows(t, other, { todo: ['Bake bread', 'Write a letter', 'Water the plants'] }, 'created, the newest first')

  await card(one, 'Write a letter').getByTestId('task-advance').click()
  await card(other, 'Bake bread').getByTestId('task-advance').click()
  await shows(t, one, { todo: ['Water the plants'], doing: ['Bake bread', 'Write a letter'] }, 'moved, from either tab')

  await card(one, 'Bake bread').getByTestId('task-edit').click()
  await one.getByRole('textbox', { name: 'Title' }).fill('Bake rye bread')
  await one.keyboard.press('Enter')
  await shows(t, other, { todo: ['Water the plants'], doing: ['Bake rye bread', 'Write a letter'] }, 'edited')

  await card(other, 'Water the plants').getByTestId('task-delete').click()
  await card(other, 'Write a letter').getByTestId('task-advance').click()
  for (const tab of [one, other])
    await shows(t, tab, { doing: ['Bake rye bread'], done: ['Write a letter'] }, 'deleted')

  if (process.env.SCREENSHOTS) {
    const folder = await mkdtemp(join(tmpdir(), 'pylon-sse-board-'))
    await one.screenshot({ path: join(folder, 'board.png') })
    t.comment(`screenshot in ${folder}`)
  }
})

t.test('every tab says how many people are here', { skip: !browser }, async (t) => {
  const { port } = await serveBoard(t)
  const url = `http://127.0.0.1:${port}`
  const one = await openTab(t, url)
  await says(one, 'people', '1 person here')
  const other = await openTab(t, url)
  for (const tab of [one, other]) await says(tab, 'people', '2 people here')
  await other.close()
  await says(one, 'people', '1 person here')
  t.pass('and follows their coming and going')
})

const losses: Record<string, { options?: BoardOptions; fetches: number }> = {
  'from the stream': { fetches: 0 },
  'from the server where the stream has lost it': { options: { pylonSse: { history: { events: 1 } } }, fetches: 1 }
}

for (const [whence, { options, fetches }] of Object.entries(losses)) {
  t.test(`a tab whose connection was cut says so, and has what it missed ${whence}`, { skip: !browser }, async (t) => {
    const board = await serveBoard(t, options)
    const [, changed, deleted] = [
      await board.create('Kept'),
      await board.create('Changed'),
      await board.create('Deleted')
    ]
    const relay = new Relay()
    const page = await openTab(t, await relay.listen(t, board.port))
    await shows(t, page, { todo: ['Deleted', 'Changed', 'Kept'] }, 'at first')

    const fetched: string[] = []
    page.on('request', (request) => void fetched.push(new URL(request.url()).pathname))
    relay.cut()
    await says(page, 'connection', 'Reconnecting')
    await board.create('Created')
    await board.call('PATCH', `/${changed.id}`, { status: 'doing', title: 'Changed twice' })
    await board.call('DELETE', `/${deleted.id}`)
    relay.target = board.port
    await says(page, 'connection', 'Live')
    await shows(t, page, { todo: ['Created', 'Kept'], doing: ['Changed twice'] }, 'what happened meanwhile')
    await says(page, 'notice', 'Caught up on 3 changes')
    t.equal(fetched.filter((path) => path === '/api/tasks').length, fetches)

    await board.create('Live again')
    await shows(t, page, { todo: ['Live again', 'Created', 'Kept'], doing: ['Changed twice'] }, 'and goes on')
  })
}

t.test('a tab shows the board of a server that has begun anew', { skip: !browser }, async (t) => {
  const before = await serveBoard(t)
  await before.create('Of the old server')
  const relay = new Relay()
  const page = await openTab(t, await relay.listen(t, before.port))
  await shows(t, page, { todo: ['Of the old server'] }, 'before')

  const after = await serveBoard(t)
  await after.create('Of the new server')
  relay.target = after.port
  await before.app.close()
  await says(page, 'notice', 'The board was reloaded')
  await says(page, 'connection', 'Live')
  await shows(t, page, { todo: ['Of the new server'] }, 'after')
  await after.create('Another')
  await shows(t, page, { todo: ['Another', 'Of the new server'] }, 'and goes on')
})

t.test('what is typed while the server is gone is not lost', { skip: !browser }, async (t) => {
  const board = await serveBoard(t)
  const relay = new Relay()
  const page = await openTab(t, await relay.listen(t, board.port))
  relay.cut()
  await says(page, 'connection', 'Reconnecting')
  await page.getByTestId('new-title').fill('Remember me')
  await page.getByTestId('new-submit').click()
  await says(page, 'notice', 'cannot be reached')
  t.equal(await page.getByTestId('new-title').inputValue(), 'Remember me')
  relay.target = board.port
  await says(page, 'connection', 'Live')
  await page.getByTestId('new-submit').click()
  await shows(t, page, { todo: ['Remember me'] }, 'sent once the server is back')
})

t.test('text that looks like a program stays text', { skip: !browser }, async (t) => {
  const { port, create } = await serveBoard(t)
  const texts = [
    '<img src=x onerror="document.title = 1">',
    '<script>document.title = 1</script>',
    '</p><b>bold</b>&lt;i&gt;',
    'javascript:document.title = 1',
    '{{document.title = 1}}'
  ]
  const page = await openTab(t, `http://127.0.0.1:${port}`)
  const { length } = await page.locator('img, script, b, i').all()
  for (const text of texts) await create(text)
  await shows(t, page, { todo: texts.toReversed() }, 'live')
  await page.reload()
  await shows(t, page, { todo: texts.toReversed() }, 'and loaded')
  t.equal((await page.locator('img, script, b, i').all()).length, length, 'no element has come of it')
  t.equal(await page.title(), 'Task board', 'and none has run')
})

t.test('the page may load nothing from elsewhere, and run nothing that is written into it', async (t) => {
  const { app } = await serveBoard(t)
  const { statusCode, headers } = await app.inject('/')
  t.equal(statusCode, 200)
  t.match(headers['content-type'], /^text\/html/)
  t.match(headers['content-security-policy'], /^default-src 'self'(?!.*unsafe)/)
})

t.test('the API creates, changes and deletes tasks, and answers with them', async (t) => {
  const { call } = await serveBoard(t)
  t.strictSame(await call('GET', ''), { status: 200, body: { seq: 0, tasks: [] } })
  const { status, body: task } = await call<Task>('POST', '', { title: '  Bake bread ' })
  t.equal(status, 201)
  t.match(task, { id: /^[\w-]{36}$/, title: 'Bake bread', status: 'todo', position: 1 })
  const moved = await call<Task>('PATCH', `/${task.id}`, { status: 'done' })
  t.strictSame(moved, { status: 200, body: { ...task, status: 'done', position: 2 } })
  const renamed = await call<Task>('PATCH', `/${task.id}`, { title: 'Bake rye bread' })
  t.strictSame(renamed, { status: 200, body: { ...moved.body, title: 'Bake rye bread' } }, 'in its place')
  t.strictSame(await call('GET', ''), { status: 200, body: { seq: 3, tasks: [renamed.body] } })
  t.strictSame(await call('DELETE', `/${task.id}`), { status: 204, body: undefined })
  t.strictSame(await call('GET', ''), { status: 200, body: { seq: 4, tasks: [] } })
})

async function follow(t: Test, { port }: Board): Promise<SseClient> {
  const client = await connect(port)
  t.teardown(() => client.close())
  return client
}

t.test('each change is an event, with all that a copy of the board needs', async (t) => {
  const board = await serveBoard(t)
  const client = await follow(t, board)
  const start = Date.now()
  const task = await board.create('Bake bread')
  const { body: moved } = await board.call('PATCH', `/${task.id}`, { status: 'doing' })
  await board.call('PATCH', `/${task.id}`, { status: 'doing', title: 'Bake bread' })
  await board.call('DELETE', `/${task.id}`)
  const changes = []
  for (let i = 0; i < 3; i++) changes.push(JSON.parse((await client.until(({ event }) => event === 'change')).data))
  const change = { entity: 'task', row_id: task.id }
  t.strictSame(
    changes.map(({ timestamp, ...rest }) => rest),
    [
      { seq: 1, ...change, kind: 'insert', data: task },
      { seq: 2, ...change, kind: 'update', data: moved },
      { seq: 3, ...change, kind: 'delete', data: null }
    ],
    'setting what is set already is none'
  )
  for (const { timestamp } of changes) {
    t.equal(new Date(timestamp).toISOString(), timestamp)
    t.ok(Date.parse(timestamp) >= start && Date.parse(timestamp) <= Date.now())
  }
})

t.test('the API refuses what is no task or no change, says why, and tells nobody of it', async (t) => {
  const board = await serveBoard(t, { maxTasks: 1 })
  const client = await follow(t, board)
  const { id } = await board.create('The only one')
  type Refusal = [status: number, method: 'POST' | 'PATCH' | 'DELETE', path: string, body: unknown, message: RegExp]
  const refusals: Refusal[] = [
    [400, 'POST', '', {}, /title/],
    [400, 'POST', '', { title: '' }, /title/],
    [400, 'POST', '', { title: ' \n' }, /title/],
    [400, 'POST', '', { title: 'x'.repeat(201) }, /title/],
    [400, 'POST', '', { title: 7 }, /title/],
    [400, 'POST', '', { title: 'a', status: 'done' }, /additional properties/],
    [400, 'POST', '', [{ title: 'a' }], /object/],
    [400, 'POST', '', '{"title":', /JSON/],
    [413, 'POST', '', { title: 'x'.repeat(5000) }, /large/],
    [409, 'POST', '', { title: 'one too many' }, /full \(1 tasks\)/],
    [400, 'PATCH', `/${id}`, {}, /properties/],
    [400, 'PATCH', `/${id}`, { status: 'lost' }, /status/],
    [400, 'PATCH', `/${id}`, { title: ' ' }, /title/],
    [400, 'PATCH', `/${id}`, { id: 'another' }, /additional properties/],
    [404, 'PATCH', '/nobody', { title: 'a' }, /gone/],
    [404, 'DELETE', '/nobody', undefined, /gone/]
  ]
  for (const [status, method, path, body, message] of refusals) {
    const answer = await board.call(method, path, body)
    t.match(
      answer,
      { status, body: { statusCode: status, message } },
      `${method} ${path} ${JSON.stringify(body)?.slice(0, 50)}`
    )
  }
  await board.call('DELETE', `/${id}`)
  await client.until(({ data }) => data.includes('"delete"'))
  t.strictSame(
    client.events.filter(({ event }) => event === 'change').map(({ data }) => JSON.parse(data).kind),
    ['insert', 'delete']
  )
})
