import type { FastifyInstance } from 'fastify'
import type { Browser, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { BROWSERS } from '../../kit/browsers.js'
import { launchChromiumWithProcesses } from '../../kit/chromium.js'
import { clientBundle } from '../../kit/client-bundle.js'
import { startNginx } from '../../kit/nginx.js'
import { type Served, serve } from '../../kit/server.js'
import { TcpProxy } from '../../kit/tcp-proxy.js'

// A browser takes long to start on a busy machine.
t.setTimeout(300_000)

const bundle = await clientBundle()
/** Five tabs of one profile. Each has one of two topics, so that no topic leaves with a tab. */
class Profile {
  tabs: Page[] = []
  readonly #url: string
  readonly #open: () => Promise<Page>

  private constructor(url: string, open: () => Promise<Page>) {
    this.#url = url
    this.#open = open
  }

  static async open(t: Test, browser: Browser, url: string, options = ''): Promise<Profile> {
    const context = await browser.newContext()
    t.teardown(() => context.close())
    const profile = new Profile(url, () => context.newPage())
    for (let i = 0; i < 5; i++) await profile.add(i, options)
    return profile
  }

  async add(i: number, options = ''): Promise<void> {
    const page = await this.#open()
    this.tabs.push(page)
    await page.goto(this.#url)
    await page.waitForFunction('globalThis.connect')
    await page.evaluate(`
      live = connect('/events', { shared: true, topics: ['tab.${i % 2}'], retryDelay: 10, ${options} })
      live.subscribe(({ event, data }) => heard.push(event === 'resync' ? event : data))
      0
    `)
    await page.waitForFunction(`live.status.state === 'open'`)
  }

  /** Where the one that leads is. */
  async leader(): Promise<number> {
    for (;;) {
      for (const [i, page] of this.tabs.entries()) {
        const role = await page.evaluate('live.status.role')
        if (role === 'leader') return i
      }
    }
  }

  /** Resolves when all have heard that. */
  async until(data: unknown): Promise<void> {
    for (const page of this.tabs) await page.waitForFunction(`heard.includes(${JSON.stringify(data)})`)
  }

  heard(): Promise<unknown[][]> {
    return Promise.all(this.tabs.map((page) => page.evaluate('heard') as Promise<unknown[]>))
  }
}

function testIn(name: string, browser: Browser): void {
  t.test(
    `in ${name} five tabs share one connection, and each gets its own events once, whichever tab leads`,
    async (t) => {
      let valid = 'one'
      let refused = 0
      const onRequest = async ({ headers }: { headers: { authorization?: string } }) => {
        if (headers.authorization === valid) return
        refused++
        throw Object.assign(new Error('The token has expired.'), { statusCode: 401 })
      }
      const sse = { retry: 10, authorizeTopics: () => true, route: { onRequest } as never }
      const setup = (app: FastifyInstance) => {
        addPage(app)
        app.get('/token', async () => ({ token: valid }))
      }
      let s = await serve(t, { sse, setup })
      const proxy = await TcpProxy.to(t, s.port!)
      const profile = await Profile.open(
        t,
        browser,
        `http://127.0.0.1:${proxy.port}`,
        `headers: () => ({ authorization: globalThis.token ?? 'one' }),
       async onUnauthorized() { globalThis.token = (await (await fetch('/token')).json()).token }`
      )
      t.equal(s.app.sse.clientCount, 1)
      let n = 0
      /** Something for all, and something for each topic. */
      const say = () => {
        s.app.sse.broadcast(++n)
        for (const i of [0, 1]) s.app.sse.broadcast(`${n} for ${i}`, { topic: `tab.${i}` })
      }
      say()
      await profile.until(1)

      t.comment('the leading tab is closed')
      const first = await profile.leader()
      const ids = [0, 1, 2, 3, 4].filter((i) => i !== first)
      await profile.tabs.splice(first, 1)[0]!.close()
      say()
      await profile.until(2)

      t.comment('the leading tab is frozen, or put aside')
      const leading = await profile.leader()
      const frozen = profile.tabs[leading]!
      if (name === 'Chromium') {
        const devtools = await frozen.context().newCDPSession(frozen)
        await devtools.send('Page.setWebLifecycleState', { state: 'frozen' })
        say()
        const others = profile.tabs.filter((page) => page !== frozen)
        for (const page of others) await page.waitForFunction('heard.includes(3)')
        await devtools.send('Page.setWebLifecycleState', { state: 'active' })
      } else {
        // Firefox freezes no tab; what it tells one that is put aside is told here.
        await frozen.evaluate(`dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true })); 0`)
        say()
        const others = profile.tabs.filter((page) => page !== frozen)
        for (const page of others) await page.waitForFunction('heard.includes(3)')
        t.notOk(await frozen.evaluate('heard.includes(3)'))
        await frozen.evaluate(`dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true })); 0`)
      }
      await profile.until(3)
      t.equal(s.app.sse.clientCount, 1)

      t.comment('the network goes while the machine sleeps for an hour, and comes back')
      proxy.cut()
      for (const page of profile.tabs) await page.waitForFunction(`live.status.state !== 'open'`)
      say()
      for (const page of profile.tabs) {
        await page.evaluate(`{ const { now } = Date; Date.now = () => now() + 3_600_000 }`)
      }
      proxy.mend()
      for (const page of profile.tabs) await page.evaluate(`dispatchEvent(new Event('online')); 0`)
      await profile.until(4)

      t.comment('the token expires')
      valid = 'two'
      for (const client of s.app.sse.clients) client.close()
      say()
      await profile.until(5)
      t.equal(refused, 1)

      const want = ids.map((i) => [1, 2, 3, 4, 5].flatMap((n) => [n, `${n} for ${i % 2}`]))
      for (const [i, page] of profile.tabs.entries()) {
        await page.waitForFunction(`heard.length >= ${want[i]!.length}`)
      }
      t.strictSame(await profile.heard(), want)

      t.comment('the server restarts, with another log')
      s = await serve(t, { sse, setup })
      proxy.leadTo(s.port!)
      proxy.cut()
      proxy.mend()
      await profile.until('resync')
      say()
      await profile.until(6)
      for (const [i, page] of profile.tabs.entries()) {
        await page.waitForFunction(`heard.length >= ${want[i]!.length + 3}`)
      }
      t.strictSame(
        await profile.heard(),
        ids.map((id, i) => [...want[i]!, 'resync', 6, `6 for ${id % 2}`])
      )
      t.equal(s.app.sse.clientCount, 1)

      t.comment('a tab of another login')
      await profile.add(0, `sharedKey: 'another', headers: { authorization: 'two' }`)
      t.equal(s.app.sse.clientCount, 2)
    }
  )

  t.test(`in ${name} tabs notice that the network has gone silent, and miss nothing when it is back`, async (t) => {
    const s = await serve(t, {
      sse: { retry: 10, keepAliveInterval: 500, authorizeTopics: () => true },
      setup: addPage
    })
    const proxy = await TcpProxy.to(t, s.port!)
    const profile = await Profile.open(t, browser, `http://127.0.0.1:${proxy.port}`, 'maxRetryDelay: 100')
    s.app.sse.broadcast(1)
    await profile.until(1)
    proxy.hold()
    for (const page of profile.tabs) await page.waitForFunction(`live.status.state !== 'open'`)
    s.app.sse.broadcast(2)
    proxy.mend()
    await profile.until(2)
    t.strictSame(await profile.heard(), Array(5).fill([1, 2]))
  })

  t.test(
    `in ${name} tabs change to pages while nginx holds the stream back, and back to the stream later`,
    async (t) => {
      const s = await serve(t, { sse: { retry: 10, authorizeTopics: () => true }, setup: addPage })
      const site = `server {
      listen 80;
      location / {
        proxy_pass http://127.0.0.1:3000;
        proxy_buffering on;
        proxy_ignore_headers X-Accel-Buffering;
      }
    }`
      const port = await startNginx(t, site, { 3000: s.port! })
      if (port === undefined) return
      const proxy = await TcpProxy.to(t, port)
      const profile = await Profile.open(t, browser, `http://127.0.0.1:${proxy.port}`, 'openTimeout: 3000')
      const transports = () => Promise.all(profile.tabs.map((page) => page.evaluate('live.status.transport')))
      t.strictSame(await transports(), Array(5).fill('pages'))
      s.app.sse.broadcast(1)
      await profile.until(1)
      // The proxy is out of the way now, and the time has come to try.
      proxy.leadTo(s.port!)
      proxy.cut()
      proxy.mend()
      for (const page of profile.tabs) await page.evaluate(`{ const { now } = Date; Date.now = () => now() + 300_001 }`)
      s.app.sse.broadcast(2)
      await profile.until(2)
      for (const page of profile.tabs) await page.waitForFunction(`live.status.transport === 'stream'`)
      s.app.sse.broadcast(3)
      await profile.until(3)
      t.strictSame(await profile.heard(), Array(5).fill([1, 2, 3]))
    }
  )
}

for (const [name, launch] of Object.entries(BROWSERS)) {
  const browser = await launch(t)
  if (browser !== undefined) testIn(name, browser)
}

t.test('in Chromium another tab takes over when the process of the leading one crashes', async (t) => {
  const browser = await launchChromiumWithProcesses(t)
  if (browser === undefined) return
  const s = await serve(t, { sse: { retry: 10, authorizeTopics: () => true }, setup: addPage })
  const profile = await Profile.open(t, browser, s.url)
  s.app.sse.broadcast(1)
  await profile.until(1)
  const [leading] = profile.tabs.splice(await profile.leader(), 1)
  const crash = new Promise((resolve) => leading!.once('crash', resolve))
  const devtools = await leading!.context().newCDPSession(leading!)
  devtools.send('Page.crash').catch(() => {})
  await crash
  s.app.sse.broadcast(2)
  await profile.until(2)
  s.app.sse.broadcast(3)
  await profile.until(3)
  t.strictSame(await profile.heard(), Array(4).fill([1, 2, 3]))
})

function addPage(app: Served['app']): void {
  const script = `
    import { connect } from '/client.js'
    globalThis.heard = []
    globalThis.connect = connect
  `
  const html = `<!doctype html><title>a page</title><script type="module">${script}</script>`
  app.get('/', (_request, reply) => reply.type('text/html').send(html))
  app.get('/client.js', (_request, reply) => reply.type('text/javascript').send(bundle))
}
