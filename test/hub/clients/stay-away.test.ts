import t from 'tap'
import type { DisconnectReason } from '../../../lib/index.js'
import { Browser } from '../../kit/browser.js'
import { launchChromium } from '../../kit/chromium.js'
import { serve } from '../../kit/server.js'
import { Arrivals, asksFor, byUser } from '../../kit/topics.js'

const LISTEN = `
  heard = []
  source = new EventSource('/events')
  source.onmessage = ({ data }) => heard.push(data)
`

t.test('a client that is told to stay away gets 204 when it reconnects, and gives up', async (t) => {
  const reasons: DisconnectReason[] = []
  const arrivals = new Arrivals()
  const served = await serve(t, {
    sse: {
      ...byUser,
      retry: 10,
      onConnect: arrivals.onConnect,
      onDisconnect: (_client, reason) => void reasons.push(reason)
    }
  })
  const browser = new Browser(t, `${served.url}${asksFor('user:7').path}`, { 'x-user': '7' })
  await browser.waitForAnswers(1)
  served.app.sse.broadcastMessage('last words')
  arrivals.last.close({ reconnect: false })
  served.app.sse.broadcastMessage('unheard')
  await browser.waitForAnswers(2)
  t.strictSame(browser.statuses, [200, 204])
  await browser.waitForClosed()
  t.strictSame(browser.data, ['last words'])
  t.strictSame(reasons, ['closed'])
  t.match(served.app.sse.stats(), { accepted: 1, connected: 0 })
})

t.test('a browser whose stream is ended for good gets 204 when it reconnects, and stays away', async (t) => {
  const browser = await launchChromium(t)
  if (browser === undefined) return
  const statuses: number[] = []
  const arrivals = new Arrivals()
  const served = await serve(t, {
    sse: { retry: 10, onConnect: arrivals.onConnect },
    setup: (app) => {
      app.get('/', async (_request, reply) => reply.type('text/html').send('<!doctype html><title>page</title>'))
      app.addHook('onSend', async ({ url }, reply) => {
        if (url === '/events') statuses.push(reply.statusCode)
      })
    }
  })
  const page = await browser.newPage()
  await page.goto(served.url)
  await page.evaluate(LISTEN)
  await page.waitForFunction('source.readyState === 1')
  served.app.sse.broadcastMessage('last words')
  arrivals.last.close({ reconnect: false })
  served.app.sse.broadcastMessage('unheard')
  await page.waitForFunction('source.readyState === 2')
  t.strictSame(await page.evaluate('heard'), ['last words'])
  t.strictSame(statuses, [200, 204])
})

t.test('a client that is closed reconnects, and misses nothing', async (t) => {
  const arrivals = new Arrivals()
  const served = await serve(t, { sse: { retry: 10, onConnect: arrivals.onConnect } })
  const browser = new Browser(t, `${served.url}/events`)
  await browser.waitForAnswers(1)
  served.app.sse.broadcastMessage('first')
  arrivals.last.close()
  served.app.sse.broadcastMessage('meanwhile')
  await browser.waitForData('meanwhile')
  arrivals.last.close({ reconnect: true })
  served.app.sse.broadcastMessage('again')
  await browser.waitForData('again')
  t.strictSame(browser.statuses, [200, 200, 200])
  t.strictSame(browser.data, ['first', 'meanwhile', 'again'])
})

t.test(
  'to stay away is said of the stream alone: a page, and a client with an id of its own, get theirs',
  async (t) => {
    const arrivals = new Arrivals()
    const served = await serve(t, { sse: { onConnect: arrivals.onConnect } })
    const reader = await served.connect()
    arrivals.last.close({ reconnect: false })
    await reader.waitForEnd()
    t.strictSame(reader.events, [{ id: 'stay-away', event: 'stay-away', data: '{}' }], 'and a page may listen for it')
    const { lastEventId } = reader
    const gone = await served.connect({ lastEventId })
    t.equal(gone.status, 204)
    t.equal((await served.connect({ query: { lastEventId } })).status, 204)
    t.equal((await served.connect()).status, 200)
    t.throws(() => served.app.sse.broadcast(1, { id: lastEventId }), { code: 'PYLON_SSE_ERR_INVALID_EVENT' })
  }
)
