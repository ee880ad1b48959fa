import { once } from 'node:events'
import http2 from 'node:http2'
import { setImmediate as turn } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import type { PylonSseOptions } from '../../lib/index.js'
import { withTimeout } from '../kit/patience.js'
import { serve } from '../kit/server.js'

/** Those of RFC 9113, section 7, and one that is in none. */
const CODES = [...Array(14).keys(), 0xff]
const EVENTS = { accept: 'text/event-stream' }
const ALL = ['per address', 'of all']
const PAGE = { accept: 'application/json' }

/** What is reset: its request, its answer, and the limits that count it. */
const KINDS: Record<string, { headers: http2.OutgoingHttpHeaders; status: number | undefined; holds: string[] }> = {
  'a stream': { headers: EVENTS, status: 200, holds: ALL },
  'a compressed stream': { headers: { ...EVENTS, 'accept-encoding': 'gzip' }, status: 200, holds: ALL },
  'a page': { headers: PAGE, status: 200, holds: ['per address'] },
  'a page that waits for an event': {
    headers: { ...PAGE, ':path': '/events?since=0&wait=60000' },
    status: undefined,
    holds: ALL
  },
  'a refusal': { headers: { accept: 'image/png' }, status: 406, holds: [] }
}

/** What waits in a window of 0 is what a client has not taken. */
const WINDOWS = { 'while bytes wait': 0, 'when all is out': 65_535 }
const LIMITS: Record<string, PylonSseOptions> = { 'per address': { maxClientsPerIp: 1 }, 'of all': { maxClients: 1 } }

async function open(t: Test, sse: PylonSseOptions, initialWindowSize: number) {
  const s = await serve(t, {
    transport: 'h2c',
    sse: { compress: true, overLimit: 'status', ...sse }
  })
  const session = http2.connect(s.url, { settings: { initialWindowSize } })
  t.teardown(() => session.destroy())
  const request = (headers: http2.OutgoingHttpHeaders) => {
    const stream = session
      .request({ ':path': '/events', ...headers })
      .on('error', () => {})
      .pause()
    const status = once(stream, 'response').then(([head]) => head[':status'] as number)
    status.catch(() => {})
    return { stream, status: () => withTimeout(status, `an answer to ${JSON.stringify(headers)}`) }
  }
  /** Resolves when the server has read the reset. */
  const reset = async (stream: http2.ClientHttp2Stream, code: number) => {
    stream.close(code)
    // The reset may be sent behind the first.
    for (let i = 0; i < 2; i++) await promisify((done: (error: Error | null) => void) => session.ping(done))()
  }
  return { s, request, reset }
}

for (const [what, { headers, status, holds }] of Object.entries(KINDS)) {
  t.test(
    `Exactly one release: ${what} over HTTP/2 gives its slot back at once, by whatever code it is reset`,
    async (t) => {
      for (const [when, size] of Object.entries(WINDOWS)) {
        for (const [which, limit] of Object.entries(LIMITS)) {
          const ended: string[] = []
          const { s, request, reset } = await open(t, { ...limit, onDisconnect: ({ id }) => void ended.push(id) }, size)
          const refused = 'maxClients' in limit ? 503 : 429
          let streams = 0
          for (const code of CODES) {
            const name = `${when}, a limit ${which}, code ${code}`
            const first = request(headers)
            if (status !== undefined) t.equal(await first.status(), status, name)
            // A page that is out is over.
            const isOver = what === 'a page' && size > 0
            if (holds.includes(which) && !isOver)
              t.equal(await request(EVENTS).status(), refused, `${name}: it holds a slot`)
            await reset(first.stream, code)
            const next = request(EVENTS)
            t.equal(await next.status(), 200, `${name}: the next is let in`)
            t.equal(await request(EVENTS).status(), refused, `${name}: and no other`)
            streams += what.endsWith('stream') ? 2 : 1
            await reset(next.stream, http2.constants.NGHTTP2_CANCEL)
          }
          t.equal(await request(PAGE).status(), 200)
          t.equal(s.app.sse.clientCount, 0)
          t.equal(ended.length, streams, 'onDisconnect is called once for each')
          t.equal(new Set(ended).size, streams)
        }
      }
    }
  )
}

const CUTS: Record<string, { sse: PylonSseOptions; cut(app: FastifyInstance): unknown }> = {
  'for nothing taken': { sse: { stallTimeout: 50 }, cut: () => {} },
  'for being too far behind': {
    sse: { overflow: 'disconnect', queueDepth: 1 },
    cut: async ({ sse }) => {
      while (sse.clientCount > 0) {
        sse.broadcastMessage('x'.repeat(100_000))
        await turn()
      }
    }
  },
  'when the app closes': { sse: {}, cut: (app) => app.close() }
}

for (const [why, { sse, cut }] of Object.entries(CUTS)) {
  t.test(`a stream that is cut ${why} is reset with CANCEL over HTTP/2, and looks complete to nobody`, async (t) => {
    for (const encoding of ['identity', 'gzip']) {
      const { s, request } = await open(t, sse, 0)
      const { stream, status } = request({ ...EVENTS, 'accept-encoding': encoding })
      t.equal(await status(), 200)
      const closed = once(stream, 'close').catch(() => {})
      const done = cut(s.app)
      await withTimeout(closed, 'the reset')
      t.equal(stream.rstCode, http2.constants.NGHTTP2_CANCEL, encoding)
      await done
    }
  })
}
