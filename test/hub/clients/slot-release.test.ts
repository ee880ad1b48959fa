import type { FastifyRequest } from 'fastify'
import t from 'tap'
import { IpLimit } from '../../../lib/hub/clients/ip-limit.js'
import type { PylonSseOptions } from '../../../lib/index.js'
import { from, hasFree, type Limited, type Open, type Opened, serveLimited } from '../../kit/client-limit.js'
import { type Clock, stopClock } from '../../kit/clock.js'
import { type Gate, gate } from '../../kit/deferred.js'
import { injectClient } from '../../kit/inject-client.js'
import type { Served, ServeOptions } from '../../kit/server.js'
import { BULK } from '../../kit/slow-reader.js'
import type { StreamRequest } from '../../kit/stream-request.js'

// One address for all, on a unix socket as on TCP.
const VISITOR = from('192.0.2.1')
/** A request that the hooks below hold up or refuse; they let others pass. */
const MARKED: StreamRequest = { headers: { ...VISITOR.headers, 'x-marked': 'yes' } }

interface Scene extends ServeOptions {
  sse?: PylonSseOptions
  /** A client comes and goes; when this resolves, its slot is free. */
  act(s: Limited, resident: Opened): Promise<unknown>
}

interface Props {
  held: Gate
  clock: Clock
}

type RequestHook = (request: FastifyRequest) => Promise<void>

function holdUp({ held }: Props): RequestHook {
  return async ({ headers }) => {
    if (headers['x-marked']) await held.pass()
  }
}

const refuse: RequestHook = async ({ headers }) => {
  if (headers['x-marked']) throw new Error('no')
}

/** Comes as far as the gate, and is cut off there. */
function cutOffWhileHeld({ held }: Props, request: Parameters<Served['connect']>[0] = MARKED): Scene['act'] {
  return async (s) => {
    const client = await s.connect({ ...request, waitForHead: false })
    await held.reached
    await client.abort()
    await s.connections.waitForNumber(1)
  }
}

const onUnixSocket = { transport: 'unix' } as const

async function stuckClient(s: Limited): Promise<void> {
  await s.connect({ ...VISITOR, stuckBefore: 'body' })
  s.app.sse.broadcast(BULK)
}

const scenes: Record<string, (props: Props) => Scene> = {
  'its client leaves': () => ({
    async act(s) {
      const client = await s.connect(VISITOR)
      await client.close()
      await s.connections.waitForNumber(1)
    }
  }),
  'its client is cut off': () => ({
    async act(s) {
      const client = await s.connect(VISITOR)
      await client.abort()
      await s.connections.waitForNumber(1)
    }
  }),
  'its client ends its side of the connection': () => ({
    async act(s) {
      const client = await s.connect(VISITOR)
      client.endRequests()
      await s.connections.waitForNumber(1)
    }
  }),
  'its client of HTTP/1.0 leaves': () => ({
    async act(s) {
      const client = await s.connect({ ...VISITOR, httpVersion: '1.0' })
      await client.close()
      await s.connections.waitForNumber(1)
    }
  }),
  'its client is cut off before the head, in an onRequest hook': (props) => ({
    setup: (app) => app.addHook('onRequest', holdUp(props)),
    act: cutOffWhileHeld(props)
  }),
  'its client is cut off before the head, in a preHandler of the route': (props) => ({
    sse: { route: { preHandler: holdUp(props) } },
    act: cutOffWhileHeld(props)
  }),
  'its client is cut off before the head, in an onSend hook': (props) => ({
    setup: (app) => app.addHook('onSend', holdUp(props)),
    act: cutOffWhileHeld(props)
  }),
  'its client is cut off before the head, while an answer before its own is due': (props) => ({
    setup: (app) => {
      app.get('/slow', { preHandler: holdUp(props) }, async () => 'slow')
    },
    act: cutOffWhileHeld(props, { ...VISITOR, before: [{ ...MARKED, path: '/slow' }] })
  }),
  'its client is cut off while onConnect works': (props) => ({
    sse: { onConnect: (_client, request) => holdUp(props)(request) },
    act: cutOffWhileHeld(props)
  }),
  'onConnect rejects': () => ({
    sse: { onConnect: (_client, request) => refuse(request) },
    async act(s) {
      const client = await s.connect(MARKED)
      await client.waitForEnd()
    }
  }),
  'onConnect throws': () => ({
    sse: {
      onConnect: (_client, { headers }) => {
        if (headers['x-marked']) throw new Error('no')
      }
    },
    async act(s) {
      const client = await s.connect(MARKED)
      await client.waitForEnd()
    }
  }),
  'onConnect closes it': () => ({
    sse: {
      onConnect: (client, { headers }) => {
        if (headers['x-marked']) client.close()
      }
    },
    async act(s) {
      const client = await s.connect(MARKED)
      await client.waitForEnd()
    }
  }),
  'an onSend hook fails': () => ({
    setup: (app) => app.addHook('onSend', refuse),
    async act(s) {
      const client = await s.connect(MARKED)
      await client.waitForEnd()
    }
  }),
  'the app closes it': () => ({
    async act(s) {
      const client = await s.connect(VISITOR)
      const [, newest] = s.app.sse.clients
      newest!.close()
      newest!.close()
      await client.waitForEnd()
    }
  }),
  'it falls too far behind': () => ({
    ...onUnixSocket,
    sse: { overflow: 'disconnect', queueDepth: 1 },
    async act(s, resident) {
      await stuckClient(s)
      await resident.next()
      for (let i = 0; i < 3; i++) s.app.sse.broadcast(i)
      await s.connections.waitForNumber(1)
    }
  }),
  'it is stuck for too long': ({ clock }) => ({
    ...onUnixSocket,
    sse: { keepAliveInterval: 0, stallTimeout: 1000 },
    async act(s, resident) {
      await stuckClient(s)
      await resident.next()
      const gone = s.connections.waitForNumber(1)
      const passing = setInterval(() => clock.advance(500), 20)
      await gone.finally(() => clearInterval(passing))
    }
  }),
  'the app closes it while it is stuck': () => ({
    ...onUnixSocket,
    async act(s) {
      await stuckClient(s)
      const [, newest] = s.app.sse.clients
      newest!.close()
      await s.connections.waitForNumber(1)
    }
  }),
  'its stream of HTTP/2 is reset': () => ({
    transport: 'h2c',
    async act(s) {
      const client = await s.connectH2(VISITOR)
      await client.close()
      await s.connections.waitForNumber(1)
    }
  }),
  'its stream of HTTP/2 is reset before the head, in an onSend hook': (props) => ({
    transport: 'h2c',
    setup: (app) => app.addHook('onSend', holdUp(props)),
    async act(s) {
      const client = await s.connectH2({ ...MARKED, waitForHead: false })
      await props.held.reached
      await client.close()
      await s.connections.waitForNumber(1)
    }
  }),
  'its stream of HTTP/2 is reset before the head, in an onRequest hook': (props) => ({
    transport: 'h2c',
    setup: (app) => app.addHook('onRequest', holdUp(props)),
    async act(s) {
      const client = await s.connectH2({ ...MARKED, waitForHead: false })
      await props.held.reached
      await client.close()
      await s.connections.waitForNumber(1)
    }
  }),
  'its connection of HTTP/2 is cut': () => ({
    transport: 'h2c',
    async act(s) {
      const client = await s.connectH2(VISITOR)
      await client.abort()
      await s.connections.waitForNumber(1)
    }
  }),
  'it was injected and is destroyed': () => ({
    async act(s) {
      const client = await injectClient(s.app, VISITOR)
      await client.close()
    }
  })
}

for (const [how, sceneOf] of Object.entries(scenes)) {
  t.test(`a slot is given back, and only once, when ${how}`, async (t) => {
    const props: Props = { held: gate(), clock: stopClock(t) }
    const { act, sse, ...options } = sceneOf(props)
    const s = await serveLimited(t, {
      ...options,
      fastify: { trustProxy: true },
      sse: { maxClientsPerIp: 3, ...sse }
    })
    const open: Open = options.transport === 'h2c' ? s.connectH2 : s.connect
    const resident = await open(VISITOR)
    await act(s, resident)
    await hasFree(t, s, 2, 'as soon as it is gone', VISITOR, open)
    props.held.open()
    await hasFree(t, s, 2, 'and still when all hooks are through', VISITOR, open)
    t.equal(s.app.sse.clientCount, 1)
    t.equal(resident.isClosed, false)
  })
}

t.test('when the app has closed, no slot is taken', async (t) => {
  const held = gate()
  // Nobody can come any more to try.
  const limits = new Set<IpLimit>()
  const { acquire } = IpLimit.prototype
  t.intercept(IpLimit.prototype, 'acquire', {
    value(this: IpLimit, ip: string) {
      limits.add(this)
      return acquire.call(this, ip)
    }
  })
  const s = await serveLimited(t, {
    sse: { maxClientsPerIp: 3 },
    setup: (app) => app.addHook('onSend', holdUp({ held } as Props))
  })
  const client = await s.connect()
  const waiting = await s.connect({ ...MARKED, waitForHead: false })
  await held.reached
  const closed = s.app.close()
  await client.waitForEnd()
  held.open()
  await waiting.closed
  await closed
  t.strictSame(
    [...limits].map(({ size }) => size),
    [0]
  )
})
