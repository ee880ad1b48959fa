import t from 'tap'
import { injectClient } from '../kit/inject-client.js'
import { serve } from '../kit/server.js'
import { say, talkative } from '../kit/talkative.js'

t.test('9. No injection: no data, name or id forges a field or a frame', async (t) => {
  const served = await serve(t, { setup: talkative })
  const { app } = served
  const clients = [
    await served.connect(),
    await served.connect({ httpVersion: '1.0' }),
    await injectClient(app),
    await served.connect({ query: { lastEventId: 'x\n\nevent: forged\ndata: 1\n\n' } })
  ]
  const forgeries = [
    '\n\ndata: forged\n\n',
    '\r\rid: forged\r\r',
    '\r\n\r\nevent: forged\r\ndata: forged\r\n\r\n',
    'retry: 1',
    ': forged',
    '\nretry: 1\n\n: forged\n\n',
    '\0\n\n',
    '0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n',
    '\ufeffdata: forged\u2028data: forged\u0085data: forged',
    'data: forged',
    ' '
  ]
  const expected: { event: string | undefined; data: string }[] = []
  /** Events of text, before each of which a comment says that it is text. */
  let texts = 0
  let refused = 0
  const attempt = (event: string | undefined, data: string, broadcast: () => void, isText = false) => {
    try {
      broadcast()
      expected.push({ event, data })
      if (isText) texts++
    } catch (error) {
      t.match(error, { code: 'PYLON_SSE_ERR_INVALID_EVENT' })
      refused++
    }
  }
  for (const text of forgeries) {
    const lines = text.replace(/\r\n?/g, '\n')
    attempt(undefined, lines, () => app.sse.broadcastMessage(text), true)
    attempt(undefined, JSON.stringify(text), () => app.sse.broadcast(text))
    attempt(text, '1', () => app.sse.broadcast(1, { event: text }))
    attempt(undefined, '2', () => app.sse.broadcast(2, { id: text }))
    attempt(text, lines, () => app.sse.broadcastMessage(text, { event: text, id: `${text}!` }), true)
  }
  await say(served, forgeries)
  expected.push({ event: undefined, data: JSON.stringify(forgeries) })
  for (const client of clients) {
    await client.until(({ data }) => data === expected.at(-1)!.data)
    const events = client === clients[3] ? client.events.slice(1) : client.events
    t.strictSame(
      events.map(({ event, data }) => ({ event, data })),
      expected
    )
    t.strictSame([client.comments, client.retries], [['connected', ...Array(texts).fill('text')], []])
  }
  t.match(clients[3]!.events[0], { event: 'resync', data: '{"reason":"unknown","missed":null}' })
  t.ok(refused > 10 && expected.length > 30, 'some are refused, some are harmless')
})
