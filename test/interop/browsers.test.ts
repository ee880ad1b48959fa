import { readFile } from 'node:fs/promises'
import type { Browser, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { BROWSERS } from '../kit/browsers.js'
import { withTimeout } from '../kit/patience.js'
import { type Served, serve } from '../kit/server.js'
import { TcpProxy } from '../kit/tcp-proxy.js'

/** A client for browsers that EventSource has nothing to do with. */
const SSE_JS = new URL('../../node_modules/sse.js/lib/sse.js', import.meta.url)

// A browser takes long to start on a busy machine.
t.setTimeout(300_000)

// One for all tests of it, as to start it takes longer than they do, and all before the first test: the file ends when
// its tests have.
const browsers = new Map<string, Browser | undefined>()
for (const [name, launch] of Object.entries(BROWSERS)) browsers.set(name, await launch(t))
for (const [name, browser] of browsers) if (browser !== undefined) testIn(name, browser)

function testIn(name: string, browser: Browser): void {
  const newPage = async (t: Test) => {
    const page = await browser.newPage()
    t.teardown(() => page.close())
    return page
  }

  t.test(`No silent gap: in ${name} a page that is cut off, before its first event, too, misses nothing`, async (t) => {
    const s = await serve(t, { sse: { retry: 10 }, setup: addPage })
    const proxy = await TcpProxy.to(t, s.port!)
    const cutAndBroadcast = (n: number) => {
      proxy.cut()
      s.app.sse.broadcast(n)
      proxy.mend()
    }
    const page = await newPage(t)
    // Of the stream's own origin: see below.
    await page.goto(`http://127.0.0.1:${proxy.port}`)
    await listen(page, '/events')
    await listenBySseJs(page, '/events')
    cutAndBroadcast(1)
    await page.waitForFunction('heard.includes("1") && heardBySseJs.includes("1")')
    cutAndBroadcast(2)
    await page.waitForFunction('heard.includes("2") && heardBySseJs.includes("2")')
    for (const client of s.app.sse.clients) client.close()
    s.app.sse.broadcast(3)
    await page.waitForFunction('heard.includes("3") && heardBySseJs.includes("3")')
    t.strictSame(await page.evaluate('heard'), ['open', 'open', '1', 'open', '2', 'open', '3'])
    t.strictSame(await page.evaluate('heardBySseJs'), ['1', '2', '3'], 'nor does one with sse.js')
    const { client, keepAlive } = await page.evaluate<{ client: string; keepAlive: number }>('connected')
    t.ok([...s.app.sse.clients].some(({ id }) => id === client) && keepAlive === 30_000, 'it has been told who it is')
  })

  t.test(
    `Only who lost something: in ${name} a page takes the cursor of a keepalive, and hears no message`,
    async (t) => {
      const sse = { retry: 10, keepAliveInterval: 40, history: { events: 3 }, queueDepth: 3 }
      const s = await serve(t, { sse, setup: addPage })
      const page = await newPage(t)
      await page.goto(s.url)
      await listen(page, '/events')
      for (let i = 0; i < 10; i++) s.app.sse.broadcast(i, { topic: 'other' })
      await page.waitForFunction('keepalives > 0')
      for (const client of s.app.sse.clients) client.close()
      await page.waitForFunction('heard.length === 2')
      s.app.sse.broadcast('own')
      await page.waitForFunction('heard.length === 3')
      t.strictSame(await page.evaluate('heard'), ['open', 'open', '"own"'])
    }
  )

  t.test(`in ${name} a page of another origin reconnects as the docs say`, async (t) => {
    const s = await serve(t, { sse: { retry: 10 }, setup: addPage })
    const proxy = await TcpProxy.to(t, s.port!)
    const page = await newPage(t)
    await page.goto(s.url)
    await listen(page, `http://127.0.0.1:${proxy.port}/events`)
    proxy.cut()
    s.app.sse.broadcast('meanwhile')
    if (name === 'Firefox') {
      await page.waitForFunction('source.readyState === EventSource.CLOSED')
      return
    }
    await page.waitForFunction('errors > 1')
    proxy.mend()
    await page.waitForFunction('heard.includes(\'"meanwhile"\')')
  })

  t.test(`Closing ends: a page in ${name} and the browser's idle connections do not hold app.close()`, async (t) => {
    const s = await serve(t, { setup: addPage })
    const page = await newPage(t)
    await page.goto(s.url)
    await listen(page, '/events')
    await page.evaluate(`Promise.all([1, 2, 3].map(() => fetch('/'))).then(() => {})`)
    await withTimeout(s.app.close(), 'app.close()', 4500)
    await page.waitForFunction('errors > 0')
  })

  t.test(`in ${name} an error status ends an EventSource for good, so by default it gets none`, async (t) => {
    const page = await newPage(t)
    for (const overLimit of ['status', undefined] as const) {
      const s = await serve(t, { sse: { retry: 10, maxClientsPerIp: 1, overLimit }, setup: addPage })
      const other = await s.connect()
      await page.goto(s.url)
      await page.evaluate(`
        source = new EventSource('/events')
        connected = new Promise((resolve) => source.addEventListener('connected', resolve))
        failed = new Promise((resolve) => source.addEventListener('error', resolve))
      `)
      await page.evaluate('failed.then(() => {})')
      t.ok(s.app.sse.stats().rejected.tooManyClients > 0)
      if (overLimit === 'status') {
        t.equal(await page.evaluate('source.readyState'), 2, 'closed')
        continue
      }
      await other.abort()
      await page.evaluate('connected.then(() => {})')
    }
  })
}

function addPage(app: Served['app']): void {
  app.get('/', (_request, reply) => reply.type('text/html').send('<!doctype html><title>a page</title>'))
  app.get('/sse.js', async (_request, reply) => reply.type('text/javascript').send(await readFile(SSE_JS)))
}

/** Opens a stream in the page, which keeps what it hears. Resolves when it is connected. */
function listen(page: Page, url: string): Promise<void> {
  return page.evaluate(`new Promise((resolve) => {
    heard = []
    errors = keepalives = 0
    source = new EventSource('${url}')
    source.onmessage = ({ data }) => heard.push(data)
    source.onerror = () => errors++
    for (const type of ['open', 'resync']) source.addEventListener(type, () => heard.push(type))
    source.addEventListener('keepalive', () => keepalives++)
    source.addEventListener('connected', ({ data }) => {
      connected = JSON.parse(data)
      resolve()
    })
  })`)
}

/** As `listen` does, by sse.js. */
function listenBySseJs(page: Page, url: string): Promise<void> {
  return page.evaluate(`import('/sse.js').then(({ SSE }) => new Promise((resolve) => {
    heardBySseJs = []
    const source = new SSE('${url}', { autoReconnect: true })
    source.onmessage = ({ data }) => heardBySseJs.push(data)
    source.addEventListener('connected', resolve)
  })).then(() => {})`)
}
