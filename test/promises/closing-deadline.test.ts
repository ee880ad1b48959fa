import { once } from 'node:events'
import http2 from 'node:http2'
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import tls from 'node:tls'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import pylonSse from '../../lib/index.js'
import { requireBinary } from '../kit/binary.js'
import { type Gate, gate } from '../kit/deferred.js'
import { withTimeout } from '../kit/patience.js'
import { type Served, type ServeOptions, serve } from '../kit/server.js'
import { KERNEL_HOLDS } from '../kit/slow-reader.js'

/**
 * Well above the deadline of a second, for a busy machine on which ten apps close at once, and below the minute and more
 * that Node and Fastify would take without it.
 */
const LIMIT = 15_000
const STREAM = 'GET /events HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\r\n'
const PLAIN = 'GET /plain HTTP/1.1\r\nhost: x\r\n\r\n'
const HELD = 'GET /held HTTP/1.1\r\nhost: x\r\n\r\n'
const { NGHTTP2_NO_ERROR, NGHTTP2_CANCEL, NGHTTP2_INTERNAL_ERROR } = http2.constants

interface Place extends Served {
  /** Where requests for `/held` stand. */
  held: Gate
  /** A raw connection; resolves when the server has read `text`. Its `received` is what has come. */
  dial(text?: string): Promise<net.Socket & { received: string }>
  /** A session of HTTP/2 that its client does not close by itself. */
  session(options?: http2.ClientSessionOptions): http2.ClientHttp2Session
  /** Closes the app, which must come to an end though connections are open. */
  closes(): Promise<void>
}

/** An app with a page of the log larger than what a connection holds. */
async function open(t: Test, options: ServeOptions = {}): Promise<Place> {
  const held = gate()
  const sockets: net.Socket[] = []
  const s = await serve(t, {
    ...options,
    sse: { publish: {}, ...options.sse },
    setup: (app) => {
      app.server.on('connection', (socket: net.Socket) => sockets.push(socket))
      app.get('/plain', async () => 'plain')
      app.get('/held', async () => {
        await held.pass()
        return 'held'
      })
      return options.setup?.(app)
    }
  })
  t.teardown(() => held.open())
  const dial = async (text = '') => {
    const socket = Object.assign(net.connect(s.port!, s.host!), { received: '' })
    socket.on('error', () => {}).setEncoding('latin1')
    socket.on('data', (data) => {
      socket.received += data
    })
    t.teardown(() => socket.destroy())
    await once(socket, 'connect')
    const serverSide = () => sockets.find(({ remotePort }) => remotePort === socket.localPort)
    await until(() => serverSide() !== undefined, 'the connection')
    socket.write(text)
    await until(() => serverSide()!.bytesRead >= text.length, 'the server to read')
    return socket
  }
  const session = (options?: http2.ClientSessionOptions) => {
    const session = http2.connect(s.url, {
      ...options,
      ...(s.ca !== undefined && { ca: s.ca, servername: 'localhost' })
    })
    session.on('error', () => {})
    t.teardown(() => session.destroy())
    return session
  }
  return { ...s, held, dial, session, closes: () => withTimeout(s.app.close(), 'app.close()', LIMIT) }
}

async function until(holds: () => boolean, what: string): Promise<void> {
  let isOver = false
  const look = async () => {
    while (!holds() && !isOver) await sleep(2)
  }
  await withTimeout(look(), what).finally(() => {
    isOver = true
  })
}

/** A request over HTTP/2 whose body the client does not read. */
async function unread(session: http2.ClientHttp2Session, headers: http2.OutgoingHttpHeaders) {
  const stream = session.request({ accept: 'text/event-stream', ':path': '/events', ...headers })
  stream.on('error', () => {})
  await once(stream, 'response')
  stream.pause()
  return stream
}

/** More than the client's window and Node's buffer take. */
function fill({ app }: Served): void {
  app.sse.broadcastMessage('x'.repeat(KERNEL_HOLDS.http2))
}

type Hold = (s: Place) => Promise<unknown>

const holds: Record<string, Hold> = {
  'a spare connection that has sent nothing': (s) => s.dial(),
  'half the head of a request': (s) => s.dial('GET /pl'),
  'half the head of a request behind a stream': (s) => s.dial(`${STREAM}G`),
  'a byte now and then behind a stream': async (s) => {
    const socket = await s.dial(`${STREAM}GET / HTTP/1.1\r\nx: `)
    const timer = setInterval(() => socket.write('y'), 100)
    socket.once('close', () => clearInterval(timer))
  },
  'an unfinished body of a request for the stream': (s) =>
    s.dial(`${STREAM.slice(0, -2)}content-length: 10\r\n\r\nhalf`),
  'an unfinished body of an event to publish': (s) =>
    s.dial('POST /events HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{'),
  'two streams pipelined': (s) => s.dial(STREAM + STREAM),
  'a stream pipelined behind a request': (s) => s.dial(PLAIN + STREAM),
  'a page that nobody reads': async (s) => {
    const socket = await s.dial()
    socket.pause()
    for (let i = 0; i < 12; i++) s.app.sse.broadcastMessage('x'.repeat(1_000_000))
    socket.write(STREAM.replace('text/event-stream', 'application/json').repeat(12))
    await until(() => socket.bytesWritten > 0, 'the requests')
  },
  'a request that was answered': async (s) => {
    const socket = await s.dial(PLAIN)
    await until(() => socket.received.includes('plain'), 'the answer')
  }
}

const holdsOfHttp2: Record<string, Hold> = {
  'a spare connection that has sent nothing': (s) => s.dial(),
  'half a preface': (s) => s.dial('PRI * HT'),
  'a session without a stream': async (s) => {
    const stream = s.session().request({ ':path': '/plain' }).resume()
    await once(stream, 'end')
  },
  'a stream that nobody reads': async (s) => {
    await unread(s.session(), {})
    fill(s)
  },
  'a page that nobody reads': async (s) => {
    fill(s)
    await unread(s.session(), { accept: 'application/json' })
  }
}
for (const [name, code] of Object.entries({ NGHTTP2_NO_ERROR, NGHTTP2_CANCEL, NGHTTP2_INTERNAL_ERROR })) {
  const settings = { initialWindowSize: 0 }
  Object.assign(holdsOfHttp2, {
    [`a stream that was reset with ${name} while bytes waited`]: async (s) => {
      const stream = await unread(s.session(), {})
      fill(s)
      stream.close(code)
    },
    [`a page that was reset with ${name} while bytes waited`]: async (s) => {
      fill(s)
      ;(await unread(s.session(), { accept: 'application/json' })).close(code)
    },
    [`a refusal that was reset with ${name} while bytes waited`]: async (s) => {
      ;(await unread(s.session({ settings }), { accept: 'image/png' })).close(code)
    },
    [`an answer of the app's own that was reset with ${name} while bytes waited`]: async (s) => {
      ;(await unread(s.session({ settings }), { ':path': '/plain' })).close(code)
    }
  } satisfies Record<string, Hold>)
}

for (const [transport, all] of [
  ['http', holds],
  ['h2c', holdsOfHttp2]
] as const) {
  t.test(`app.close() ends, whatever is open over ${transport}`, async (t) => {
    await Promise.all(
      Object.entries(all).map(async ([what, hold]) => {
        const s = await open(t, { transport })
        await hold(s)
        await t.resolves(s.closes(), what)
        t.equal(s.app.sse.clientCount, 0)
      })
    )
  })
}

for (const transport of ['https', 'http2'] as const) {
  t.test(`app.close() ends, whatever is open over ${transport}`, async (t) => {
    if (!requireBinary(t, 'openssl')) return
    const s = await open(t, { transport })
    await s.dial()
    // The beginning of a handshake: type, version and length of a TLS record that does not follow.
    await s.dial('\x16\x03\x01\x02\x00')
    for (const text of ['', STREAM, 'GET /pl']) {
      const socket = tls.connect({ port: s.port!, host: s.host!, ca: s.ca!, servername: 'localhost' })
      socket.on('error', () => {}).resume()
      t.teardown(() => socket.destroy())
      await once(socket, 'secureConnect')
      socket.write(text)
    }
    await until(() => s.app.sse.clientCount === 1, 'the stream')
    await t.resolves(s.closes())
  })
}

t.test('an ordinary request that is in progress when the app closes is left to finish', async (t) => {
  const upgrades: net.Socket[] = []
  const setup = (app: FastifyInstance) => {
    if (app.server.listenerCount('session') > 0) return
    app.server.on('upgrade', (_request, socket: net.Socket) => {
      upgrades.push(socket)
      socket.pipe(socket)
    })
  }
  const s = await open(t, { setup })
  const h2 = await open(t, { transport: 'h2c', setup })
  const [plain, pipelined, upgraded] = [
    await s.dial(HELD),
    await s.dial(STREAM + HELD),
    await s.dial('GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n')
  ]
  const session = h2.session()
  const answered = once(session.request({ ':path': '/held' }), 'response')
  await unread(session, {})
  await Promise.all([s.held.reached, h2.held.reached])
  // This one goes at the deadline.
  const half = [await s.dial('GET /pl'), await h2.dial('PRI * HT')]
  const closed = [s.app.close(), h2.app.close()]
  await withTimeout(Promise.all(half.map((socket) => once(socket, 'close'))), 'the deadline')
  await sleep(100)
  upgraded.write('still here')
  await until(() => upgraded.received === 'still here', 'the echo')
  s.held.open()
  h2.held.open()
  await until(() => plain.received.endsWith('held') && pipelined.received.endsWith('held'), 'the answers')
  t.match(pipelined.received, /retry: \d+\n\r\n0\r\n\r\nHTTP\/1.1 200/, 'behind the end of the stream')
  const [headers] = await answered
  t.equal(headers[':status'], 200)
  for (const socket of upgrades) socket.destroy()
  await withTimeout(Promise.all(closed), 'app.close()')
})

t.test('while a hook of the app delays the closing, no connection is cut', async (t) => {
  const farewell = gate()
  const s = await open(t, {
    setup: async (app) => {
      await app.register(pylonSse, { path: '/early', decorator: 'early' })
      // Hooks of a scope come after those of the scopes before it: that stream has closed by then.
      await app.register(async (scope) => {
        scope.addHook('preClose', () => farewell.pass())
      })
    }
  })
  t.teardown(() => farewell.open())
  const socket = await s.dial()
  const closed = s.closes()
  await farewell.reached
  // Several rounds in which those that have sent nothing would go.
  await sleep(200)
  socket.write(PLAIN)
  await until(() => socket.received.includes('HTTP/1.1'), 'an answer')
  t.match(socket.received, /^HTTP\/1\.1 503 /)
  farewell.open()
  await closed
})
