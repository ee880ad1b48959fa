import type { Browser, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { BROWSERS } from '../../kit/browsers.js'
import { clientBundle, scriptWithClient } from '../../kit/client-bundle.js'
import { type Served, serve } from '../../kit/server.js'
import { TcpProxy } from '../../kit/tcp-proxy.js'

// A browser takes long to start on a busy machine.
t.setTimeout(300_000)

const bundle = await clientBundle()
const serviceWorker = await scriptWithClient(`
  addEventListener('message', ({ source, data }) => {
    const live = connect('/events', { lastEventId: '0' })
    live.on('message', (data) => source.postMessage(data))
    live.on('error', (error) => source.postMessage(String(error)))
  })
`)
const browsers = new Map<string, Browser | undefined>()
for (const [name, launch] of Object.entries(BROWSERS)) browsers.set(name, await launch(t))
for (const [name, browser] of browsers) if (browser !== undefined) testIn(name, browser)

function testIn(name: string, browser: Browser): void {
  t.test(`in ${name} a page loads its state, follows it, and misses nothing when the connection is cut`, async (t) => {
    const s = await serve(t, { sse: { retry: 10, authorizeTopics: () => true }, setup: addPages })
    const proxy = await TcpProxy.to(t, s.port!)
    const page = await openPage(t, browser, `http://127.0.0.1:${proxy.port}`)
    await page.evaluate(`
      live = connect('/events', { topics: ['ä'], load: async ({ reason, signal }) => {
        heard.push('load ' + reason, await (await fetch('/state', { signal })).json())
      } })
      follow(live)
    `)
    await page.waitForFunction('heard.length === 2')
    s.app.sse.broadcast(1, { event: 'n', topic: 'ä' })
    await page.waitForFunction('heard.length === 3')
    proxy.cut()
    s.app.sse.broadcastMessage('2')
    proxy.mend()
    await page.waitForFunction('heard.length === 4')
    t.strictSame(await page.evaluate('heard'), ['load connect', { state: 'loaded' }, ['n', 1, 'ä'], ['message', '2']])
    await page.evaluate('live.close()')
    t.equal(await page.evaluate('live.status.reason'), 'closed')
  })

  t.test(`in ${name} a page that was offline connects at once when the network is back`, async (t) => {
    const s = await serve(t, { setup: addPages })
    const proxy = await TcpProxy.to(t, s.port!)
    const page = await openPage(t, browser, `http://127.0.0.1:${proxy.port}`)
    await page.evaluate(`live = connect('/events', { retryDelay: 1e9, maxRetryDelay: 1e9 }); follow(live)`)
    await page.waitForFunction(`live.status.state === 'open'`)
    proxy.cut()
    await page.waitForFunction(`live.status.state === 'waiting'`)
    proxy.mend()
    s.app.sse.broadcast('meanwhile')
    if (name === 'Chromium') {
      await page.context().setOffline(true)
      await page.context().setOffline(false)
    } else {
      // The driver of Firefox cannot take it offline.
      await page.evaluate(`dispatchEvent(new Event('online'))`)
    }
    await page.waitForFunction('heard.length === 1')
    t.strictSame(await page.evaluate('heard'), [['message', 'meanwhile']])
  })

  t.test(`in ${name} a page of another origin resumes, and sends a token in a header`, async (t) => {
    const tokens: unknown[] = []
    const onRequest = async ({ headers, method }: { headers: { authorization?: string }; method: string }) => {
      if (method === 'GET') tokens.push(headers.authorization)
    }
    const s = await serve(t, { sse: { retry: 10, route: { onRequest } as never }, setup: addPages })
    const other = await serve(t, { sse: false, setup: addPages })
    const page = await openPage(t, browser, other.url)
    await page.evaluate(
      `live = connect('${s.url}/events', { headers: () => ({ authorization: 'token' }) }); follow(live)`
    )
    await page.waitForFunction(`live.status.state === 'open'`)
    for (const client of s.app.sse.clients) client.close()
    s.app.sse.broadcast(1)
    await page.waitForFunction('heard.length === 1')
    t.strictSame(tokens, ['token', 'token'])
  })

  t.test(`in ${name} the client works in a service worker`, async (t) => {
    const s = await serve(t, { sse: { retry: 10 }, setup: addPages })
    const page = await openPage(t, browser, s.url)
    s.app.sse.broadcast(1)
    await page.evaluate(`(async () => {
      await navigator.serviceWorker.register('/service-worker.js')
      const { active } = await navigator.serviceWorker.ready
      navigator.serviceWorker.onmessage = ({ data }) => heard.push(data)
      active.postMessage('begin')
    })()`)
    await page.waitForFunction('heard.length === 1')
    for (const client of s.app.sse.clients) client.close()
    s.app.sse.broadcast(2)
    await page.waitForFunction('heard.length === 2')
    t.strictSame(await page.evaluate('heard'), [1, 2])
  })

  t.test(
    `in ${name} the client works in a worker, and with sessionStorage a page resumes after a reload`,
    async (t) => {
      const s = await serve(t, { sse: { retry: 10 }, setup: addPages })
      const page = await openPage(t, browser, s.url)
      await page.evaluate(`
      worker = new Worker('/worker.js', { type: 'module' })
      worker.onmessage = ({ data }) => heard.push(data)
      live = connect('/events', { storage: true })
    `)
      await page.waitForFunction(`live.status.state === 'open' && heard.includes('open')`)
      s.app.sse.broadcast(1)
      await page.waitForFunction('heard.includes(1) && live.lastEventId.endsWith("-1")')
      await page.evaluate('live.close()')
      s.app.sse.broadcast(2)
      await page.reload()
      await page.waitForFunction('globalThis.connect')
      await page.evaluate(`live = connect('/events', { storage: true }); follow(live)`)
      await page.waitForFunction('heard.length === 1')
      t.strictSame(await page.evaluate('heard'), [['message', 2]])
    }
  )
}

function addPages(app: Served['app']): void {
  const script = `
    import { connect } from '/client.js'
    globalThis.connect = connect
    globalThis.heard = []
    globalThis.follow = (live) => live.subscribe(({ event, data, topic }) => heard.push([event, data, ...(topic ? [topic] : [])]))
  `
  const worker = `
    import { connect } from '/client.js'
    const live = connect('/events')
    live.onStatus(({ state }) => postMessage(state))
    live.subscribe(({ data }) => postMessage(data))
  `
  const html = `<!doctype html><title>a page</title><script type="module">${script}</script>`
  app.get('/', (_request, reply) => reply.type('text/html').send(html))
  app.get('/client.js', (_request, reply) => reply.type('text/javascript').send(bundle))
  app.get('/worker.js', (_request, reply) => reply.type('text/javascript').send(worker))
  app.get('/service-worker.js', (_request, reply) => reply.type('text/javascript').send(serviceWorker))
  app.get('/state', async () => ({ state: 'loaded' }))
}

async function openPage(t: Test, browser: Browser, url: string): Promise<Page> {
  const context = await browser.newContext()
  t.teardown(() => context.close())
  const page = await context.newPage()
  await page.goto(url)
  await page.waitForFunction('globalThis.connect')
  return page
}
