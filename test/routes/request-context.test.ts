import t from 'tap'
import type { DisconnectReason, PylonSseOptions } from '../../lib/index.js'
import { asUser, currentUser, setup } from '../kit/current-user.js'
import { deferred } from '../kit/deferred.js'
import { serve } from '../kit/server.js'
import { Watch } from '../kit/watch.js'

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
