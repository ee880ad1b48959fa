import { readFile } from 'node:fs/promises'
import t from 'tap'
import { BROWSERS } from './kit/browsers.js'
import { serve } from './kit/server.js'
import { TcpProxy } from './kit/tcp-proxy.js'

/** A client for browsers that EventSource has nothing to do with. */
const SSE_JS = new URL('../node_modules/sse.js/lib/sse.js', import.meta.url)

for (const [name, launch] of Object.entries(BROWSERS)) {
  t.test(`No silent gap: in ${name} a page that is cut off, before its first event, too, misses nothing`, async (t) => {
    const browser = await launch(t)
    if (!browser) return
    const s = await serve(t, {
      sse: { retry: 10 },
      setup: (app) => {
        app.get('/', (_request, reply) => reply.type('text/html').send('<!doctype html><title>a page</title>'))
        app.get('/sse.js', async (_request, reply) => reply.type('text/javascript').send(await readFile(SSE_JS)))
      }
    })
    const proxy = await TcpProxy.to(t, s.port!)
    const cutAndBroadcast = (n: number) => {
      proxy.cut()
      s.app.sse.broadcast(n)
      proxy.mend()
    }
    const page = await browser.newPage()
    await page.goto(s.url)
    await page.evaluate(`import('/sse.js').then(({ SSE }) => new Promise((resolve) => {
      bySseJs = []
      const other = new SSE('http://127.0.0.1:${proxy.port}/events', { autoReconnect: true })
      other.onmessage = ({ data }) => bySseJs.push(data)
      heard = []
      const source = new EventSource('http://127.0.0.1:${proxy.port}/events')
      source.onmessage = ({ data }) => heard.push(data)
      for (const type of ['open', 'resync']) source.addEventListener(type, () => heard.push(type))
      source.addEventListener('connected', ({ data }) => heard.push(JSON.parse(data).keepAlive))
      other.addEventListener('connected', resolve)
    }))`)
    await page.waitForFunction('heard.includes(30000)')
    cutAndBroadcast(1)
    await page.waitForFunction('heard.includes("1") && bySseJs.includes("1")')
    cutAndBroadcast(2)
    await page.waitForFunction('heard.includes("2") && bySseJs.includes("2")')
    s.app.sse.broadcast(3)
    await page.waitForFunction('heard.includes("3")')
    await page.waitForFunction('bySseJs.includes("3")')
    t.strictSame(await page.evaluate('bySseJs'), ['1', '2', '3'], 'nor does one with sse.js')
    const heard = await page.evaluate('heard')
    t.strictSame(
      (heard as unknown[]).filter((entry) => entry !== 30_000),
      ['open', 'open', '1', 'open', '2', '3']
    )
    t.ok((heard as unknown[]).includes(30_000), 'the page has been told the interval of keepalives')
  })
}
