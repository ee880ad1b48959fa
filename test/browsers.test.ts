import t from 'tap'
import { BROWSERS } from './kit/browsers.js'
import { serve } from './kit/server.js'
import { TcpProxy } from './kit/tcp-proxy.js'

for (const [name, launch] of Object.entries(BROWSERS)) {
  t.test(`No silent gap: in ${name} a page that is cut off, before its first event, too, misses nothing`, async (t) => {
    const browser = await launch(t)
    if (!browser) return
    const s = await serve(t, {
      sse: { retry: 10 },
      setup: (app) =>
        app.get('/', (_request, reply) => reply.type('text/html').send('<!doctype html><title>a page</title>'))
    })
    const proxy = await TcpProxy.to(t, s.port!)
    const cutAndBroadcast = (n: number) => {
      proxy.cut()
      s.app.sse.broadcast(n)
      proxy.mend()
    }
    const page = await browser.newPage()
    await page.goto(s.url)
    await page.evaluate(`new Promise((resolve) => {
      heard = []
      const source = new EventSource('http://127.0.0.1:${proxy.port}/events')
      source.onmessage = ({ data }) => heard.push(data)
      for (const type of ['open', 'resync']) source.addEventListener(type, () => heard.push(type))
      source.addEventListener('connected', ({ data }) => resolve(heard.push(JSON.parse(data).keepAlive)))
    })`)
    cutAndBroadcast(1)
    await page.waitForFunction('heard.includes("1")')
    cutAndBroadcast(2)
    await page.waitForFunction('heard.includes("2")')
    s.app.sse.broadcast(3)
    await page.waitForFunction('heard.includes("3")')
    const heard = await page.evaluate('heard')
    t.strictSame(
      (heard as unknown[]).filter((entry) => entry !== 30_000),
      ['open', 'open', '1', 'open', '2', '3']
    )
    t.ok((heard as unknown[]).includes(30_000), 'the page has been told the interval of keepalives')
  })
}
