import type { Page } from 'playwright-core'
import t from 'tap'
import { BROWSERS } from './kit/browsers.js'
import { serve } from './kit/server.js'
import { TcpProxy } from './kit/tcp-proxy.js'

/** Begins to listen in the page, which keeps what it hears. */
function listen(page: Page, url: string): Promise<void> {
  return page.evaluate(`
    heard = []
    source = new EventSource(${JSON.stringify(url)})
    source.onopen = () => heard.push('open')
    source.onmessage = ({ data }) => heard.push(data)
    source.addEventListener('resync', ({ data }) => heard.push('resync ' + data))
    undefined
  `)
}

/** What the page has heard, once it holds `data`. */
async function heardUntil(page: Page, data: string): Promise<string[]> {
  await page.waitForFunction(`heard.includes(${JSON.stringify(data)})`)
  return page.evaluate('heard')
}

for (const [name, launch] of Object.entries(BROWSERS)) {
  t.test(`in ${name} a page that is cut off comes back and misses nothing`, async (t) => {
    const browser = await launch(t)
    if (!browser) return
    const s = await serve(t, {
      sse: { path: '/events', retry: 10 },
      setup: (app) =>
        app.get('/', (_request, reply) => reply.type('text/html').send('<!doctype html><title>a page</title>'))
    })
    const proxy = await TcpProxy.to(t, s.port!)
    const page = await browser.newPage()
    await page.goto(s.url)
    await listen(page, `http://127.0.0.1:${proxy.port}/events`)
    await heardUntil(page, 'open')
    s.app.sse.broadcast(1)
    await heardUntil(page, '1')
    proxy.cut()
    s.app.sse.broadcast(2)
    proxy.mend()
    await heardUntil(page, '2')
    s.app.sse.broadcast(3)
    t.strictSame(await heardUntil(page, '3'), ['open', '1', 'open', '2', '3'])
  })
}
