import { fastifyRequestContext, requestContext } from '@fastify/request-context'
import t from 'tap'
import type { DisconnectReason, PylonSseOptions } from '../../lib/index.js'
import { deferred } from '../kit/deferred.js'
import { injectClient } from '../kit/inject-client.js'
import { LogLines } from '../kit/log-lines.js'
import { type ServeOptions, serve } from '../kit/server.js'
import { Watch } from '../kit/watch.js'

declare module '@fastify/request-context' {
  interface RequestContextData {
    user: string
  }
}

/** Who the app takes the callback to be for. */
function currentUser(): string {
  return requestContext.get('user') ?? 'nobody'
}

function asUser(user: string) {
  return { headers: { 'x-user': user } }
}

const setup: NonNullable<ServeOptions['setup']> = async (app) => {
  await app.register(fastifyRequestContext, {
    hook: 'onRequest',
    defaultStoreValues: (request) => ({ user: String(request.headers['x-user']) })
  })
}

/** What the callbacks have found, `<callback> of <client's user>: <current user>`. */
class Found {
  readonly lines: string[] = []
  readonly #watch = new Watch(() => this.lines.join(', '))
  readonly options: PylonSseOptions = {
    onConnect: async (client, { headers }) => {
      client.state.user = headers['x-user']
      this.add('onConnect', client.state.user)
      await null
      this.add('onConnect, later', client.state.user)
    },
    onDisconnect: async ({ state }) => {
      this.add('onDisconnect', state.user)
      await null
      this.add('onDisconnect, later', state.user)
    }
  }

  add(callback: string, user: unknown): void {
    this.lines.push(`${callback} of ${user}: ${currentUser()}`)
    this.#watch.changed()
  }

  waitFor(lines: number): Promise<true> {
    return this.#watch.until(() => this.lines.length >= lines || undefined, `${lines} lines`)
  }
}

const ALL = ['onConnect', 'onConnect, later', 'onDisconnect', 'onDisconnect, later']

t.test("Never another's data: callbacks of a client do not run in the context of whoever disconnects it", async (t) => {
  const found = new Found()
  const s = await serve(t, {
    sse: found.options,
    setup: async (app) => {
      await setup(app)
      app.get('/kick', async () => ({ kicked: app.sse.disconnect(() => true) }))
    }
  })
  const reader = await s.connect(asUser('victim'))
  await fetch(`${s.url}/kick`, asUser('admin'))
  await reader.waitForEnd()
  await found.waitFor(4)
  t.strictSame(
    found.lines,
    ALL.map((callback) => `${callback} of victim: victim`)
  )
})

t.test("Never another's data: a stream that is pipelined behind another request keeps its own context", async (t) => {
  const found = new Found()
  const finish = deferred()
  const s = await serve(t, {
    sse: found.options,
    setup: async (app) => {
      await setup(app)
      app.get('/slow', async () => {
        await finish.promise
        return {}
      })
    }
  })
  const reader = await s.connect({
    ...asUser('second'),
    before: [{ path: '/slow', ...asUser('first') }],
    waitForHead: false
  })
  finish.resolve()
  await reader.head()
  await found.waitFor(2)
  await reader.close()
  await found.waitFor(4)
  t.strictSame(
    found.lines,
    ALL.map((callback) => `${callback} of second: second`)
  )
})

t.test("Never another's data: callbacks of a client do not run in the context of whoever overflows it", async (t) => {
  const found = new Found()
  const s = await serve(t, {
    sse: { ...found.options, queueDepth: 10, overflow: 'disconnect' },
    setup: async (app) => {
      await setup(app)
      app.get('/flood', async () => {
        for (let i = 0; i < 400; i++) app.sse.broadcastMessage('x'.repeat(50_000))
        return {}
      })
    }
  })
  await s.connect({ ...asUser('victim'), stuckBefore: 'body' })
  await found.waitFor(2)
  for (let i = 0; found.lines.length < 4; i++) {
    await fetch(`${s.url}/flood`, asUser('flooder'))
    if (i > 20) throw new Error('it is never cut')
  }
  t.strictSame(
    found.lines,
    ALL.map((callback) => `${callback} of victim: victim`)
  )
})

for (const [reason, sse] of Object.entries({
  aged: { maxConnectionAge: 50 },
  expired: {},
  shutdown: {},
  disconnected: {}
} satisfies Partial<Record<DisconnectReason, PylonSseOptions>>)) {
  t.test(`onDisconnect of a client that is ${reason} runs in the context of the client's request`, async (t) => {
    const found = new Found()
    const { onConnect } = found.options
    const s = await serve(t, {
      setup,
      sse: {
        ...found.options,
        ...sse,
        onConnect: async (client, request) => {
          await onConnect!(client, request)
          if (reason === 'expired') client.expiresAt = new Date()
        }
      }
    })
    const reader = await s.connect(asUser('own'))
    if (reason === 'shutdown') await s.app.close()
    if (reason === 'disconnected') await reader.close()
    await found.waitFor(4)
    t.strictSame(
      found.lines,
      ALL.map((callback) => `${callback} of own: own`)
    )
  })
}

/** How a stream ends, and what it is asked for with. */
const ENDINGS = ['kicked', 'left', 'aborted', 'shutdown', 'aged', 'onConnect threw'] as const

for (const transport of ['http', 'h2c'] as const) {
  for (const ending of ENDINGS) {
    t.test(`request.signal aborts, once, in its own context: over ${transport}, ${ending}`, async (t) => {
      const aborted = deferred<string>()
      let times = 0
      const onAbort = () => {
        times++
        aborted.resolve(currentUser())
      }
      let early!: AbortSignal
      const s = await serve(t, {
        transport,
        sse: {
          ...(ending === 'aged' && { maxConnectionAge: 50 }),
          onConnect: (_client, request) => {
            t.equal(request.signal, early)
            t.notOk(request.signal.aborted)
            if (ending === 'onConnect threw') throw new Error('no')
          }
        },
        setup: async (app) => {
          await setup(app)
          app.addHook('preHandler', async (request) => {
            if (request.url !== '/events') return
            early = request.signal
            early.addEventListener('abort', onAbort)
          })
          app.get('/kick', async () => ({ kicked: app.sse.disconnect(() => true) }))
        }
      })
      const reader = await (transport === 'http' ? s.connect : s.connectH2)(asUser('own'))
      if (ending === 'kicked') await s.app.inject({ url: '/kick', ...asUser('admin') })
      else if (ending === 'left') await reader.close()
      else if (ending === 'aborted') await reader.abort()
      else if (ending === 'shutdown') await s.app.close()
      t.equal(await aborted.promise, 'own')
      t.ok(early.aborted)
      await s.app.close()
      t.equal(times, 1)
    })
  }
}

t.test('request.signal that is first asked for in onConnect aborts in the context of its request', async (t) => {
  const aborted = deferred<string>()
  const s = await serve(t, {
    sse: {
      onConnect: async (_client, request) => {
        await null
        request.signal.addEventListener('abort', () => aborted.resolve(currentUser()))
      }
    },
    setup: async (app) => {
      await setup(app)
      app.get('/kick', async () => ({ kicked: app.sse.disconnect(() => true) }))
    }
  })
  const reader = await s.connect(asUser('own'))
  await s.app.inject({ url: '/kick', ...asUser('admin') })
  await reader.waitForEnd()
  t.equal(await aborted.promise, 'own')
})

t.test('request.signal aborts for a client that leaves before its head, behind another request', async (t) => {
  const asked = deferred()
  const aborted = deferred()
  const s = await serve(t, {
    setup: (app) => {
      app.get('/never', (_request, reply) => void reply.hijack())
      app.addHook('preHandler', async (request) => {
        if (request.url !== '/events') return
        request.signal.addEventListener('abort', () => aborted.resolve())
        asked.resolve()
      })
    }
  })
  const reader = await s.connect({ before: [{ path: '/never' }], waitForHead: false })
  await asked.promise
  await reader.close()
  await aborted.promise
  t.equal(s.app.sse.stats().accepted, 0)
})

t.test('request.signal aborts for a client that leaves while authentication is running', async (t) => {
  const asked = deferred()
  const answer = deferred()
  const aborted = deferred()
  const s = await serve(t, {
    sse: {
      authorizeTopics: async (request) => {
        request.signal.addEventListener('abort', () => aborted.resolve())
        request.raw.socket.once('close', answer.resolve)
        asked.resolve()
        await answer.promise
        return true
      }
    }
  })
  const reader = await s.connect({ path: '/events?topic=a', waitForHead: false })
  await asked.promise
  await reader.close()
  await aborted.promise
  t.equal(s.app.sse.stats().accepted, 0)
})

t.test('request.signal aborts through inject, too', async (t) => {
  const signals: AbortSignal[] = []
  const aborted = deferred()
  const s = await serve(t, {
    sse: {
      onConnect: (_client, request) => {
        signals.push(request.signal)
        request.signal.addEventListener('abort', () => aborted.resolve())
      }
    }
  })
  const client = await injectClient(s.app)
  s.app.sse.disconnect(() => true)
  await client.waitForEnd()
  await aborted.promise
  t.equal(signals.length, 1)
})

t.test("No logger's fault reaches a client: serializers for any field may throw", async (t) => {
  const left = deferred<DisconnectReason>()
  const log = new LogLines()
  const thrower = () => {
    throw new Error('a serializer that expects something else')
  }
  const s = await serve(t, {
    fastify: {
      logger: {
        level: 'debug',
        stream: log,
        serializers: { client: ({ name }: { name: { first: string } }) => name.first, sseClient: thrower, err: thrower }
      },
      logController: undefined
    } as object,
    sse: {
      maxClientsPerIp: 1,
      onConnect: (_client, { headers }) => {
        if ('x-fail' in headers) throw new Error('no')
      },
      onDisconnect: (_client, reason) => {
        left.resolve(reason)
        throw new Error('no')
      }
    }
  })
  const reader = await s.connect()
  s.app.sse.broadcast(1)
  t.equal((await reader.next()).data, '1')
  await reader.close()
  t.equal(await left.promise, 'disconnected')
  const failed = await s.connect({ headers: { 'x-fail': '1' } })
  await failed.waitForEnd()
  await log.waitFor('SSE: onConnect failed, and the client is disconnected')
  await log.waitFor('SSE: onDisconnect failed')
  t.equal((await s.connect()).status, 200)
})

t.test("No logger's fault reaches a client: it may refuse every line", async (t) => {
  const refused: string[] = []
  const left = deferred<DisconnectReason>()
  const stream = {
    write(line: string) {
      if (!line.includes('SSE')) return
      refused.push(line)
      throw new Error('the disk is full')
    }
  }
  const s = await serve(t, {
    fastify: { logger: { level: 'debug', stream } },
    sse: { onDisconnect: (_client, reason) => left.resolve(reason) }
  })
  const reader = await s.connect()
  s.app.sse.broadcast(1)
  t.equal((await reader.next()).data, '1')
  await reader.close()
  t.equal(await left.promise, 'disconnected')
  const fields = [{ sseClient: {} }, {}, { sseClient: {}, reason: 'disconnected' }, {}].map(Object.keys)
  const isOwn = (name: string) => name === 'sseClient' || name === 'reason'
  const tried = refused.map((line) => Object.keys(JSON.parse(line)).filter(isOwn))
  t.strictSame(tried, fields, 'each line is tried with its fields, and without')
})

t.test("a serializer for 'client' of the app does not get clients of the plugin", async (t) => {
  const log = new LogLines()
  const seen: unknown[] = []
  const s = await serve(t, {
    fastify: {
      logger: { level: 'debug', stream: log, serializers: { client: (value: unknown) => seen.push(value) } }
    }
  })
  const reader = await s.connect()
  await reader.close()
  const line = await log.waitFor('SSE: client disconnected')
  t.match(line, { sseClient: { id: String, ip: '127.0.0.1' }, reason: 'disconnected' })
  t.strictSame(seen, [])
})
