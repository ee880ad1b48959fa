import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type net from 'node:net'
import t from 'tap'
import { redisStreams } from '../../../lib/backplane/redis/redis-streams.js'
import { resyncOf } from '../../kit/numbered.js'
import { OwedEvents } from '../../kit/owed-events.js'
import { eventually, LONG, startProcess } from '../../kit/processes.js'
import { RedisSentinel } from '../../kit/redis-sentinel.js'

for (const isCut of [false, true])
  t.test(
    isCut
      ? 'clients get a resync, also those that were away, if a sentinel promotes a replica that lacks events'
      : 'no client misses an event if a sentinel promotes a replica that has all events',
    async (t) => {
      const sentinel = await RedisSentinel.start(t)
      if (sentinel === undefined) return
      const { master } = sentinel
      const start = () =>
        startProcess(t, redisStreams({ client: sentinel.client(t, { failoverDetector: true }), publishTimeout: LONG }))
      const processes = [await start(), await start()] as const
      const present = [await processes[0].connect(), await processes[1].connect()]
      const leaver = await processes[1].connect()
      const before = new OwedEvents(processes)
      await before.more(50)
      if (isCut) await master.cutReplicas()
      await before.more(50)
      await before.end()
      await processes[1].app.sse.publish('before')
      for (const client of [...present, leaver]) await client.until(({ data }) => data === '"before"', LONG)
      await leaver.close()
      if (!isCut) await master.admin.wait(1, LONG)
      await master.kill9()
      const after = new OwedEvents(processes)
      await sentinel.failOver()
      await after.more(50)
      await after.end()
      if (isCut) for (const client of present) await client.until((event) => resyncOf(event) !== undefined, LONG)
      const returned = []
      for (const { connect } of [...processes, await start()])
        returned.push(await connect({ lastEventId: leaver.lastEventId }))
      await processes[0].app.sse.publish('end')
      for (const client of [...present, ...returned]) {
        await client.until(({ data }) => data === '"end"', LONG)
        const firsts = present.includes(client) ? [] : leaver.events
        const events = [...firsts, ...client.events]
        t.match(before.account(events), { silent: 0, twice: 0, delivered: before.acknowledged })
        t.match(after.account(events), { silent: 0, twice: 0 })
        t.equal(events.some(resyncOf), isCut)
      }
      t.strictSame(after.errors, [], 'what is published meanwhile waits for the new master')
    }
  )

t.test('lost connections leave no connection to the sentinel, so the process can end', async (t) => {
  const sentinel = await RedisSentinel.start(t)
  if (sentinel === undefined) return
  const client = sentinel.client(t, { failoverDetector: true })
  const process = await startProcess(t, redisStreams({ client }))
  await eventually(
    async () => (await sentinel.countSubscribers()) === 3,
    "the app's client and both of the plugin listen"
  )
  for (let i = 0; i < 3; i++) {
    await sentinel.master.admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    await process.app.sse.publish(i)
    await eventually(async () => (await sentinel.countSubscribers()) === 3, 'those of before have gone')
  }
  client.disconnect()
  await process.app.close()
  await eventually(async () => (await sentinel.countSubscribers()) === 0, 'all have gone')
})

t.test('a sentinel that does not reply keeps no connection for long, so they cannot pile up', async (t) => {
  const sentinel = await RedisSentinel.start(t)
  if (sentinel === undefined) return
  const client = sentinel.client(t)
  const process = await startProcess(t, redisStreams({ client }))
  client.disconnect()
  sentinel.freeze()
  const sockets: net.Socket[] = []
  const keep = (message: unknown) => sockets.push((message as { socket: net.Socket }).socket)
  subscribe('net.client.socket', keep)
  t.teardown(() => unsubscribe('net.client.socket', keep))
  await sentinel.master.admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
  const toSentinel = () => sockets.filter(({ remotePort }) => remotePort === sentinel.port)
  await eventually(() => toSentinel().length >= 2, 'both connections of the plugin ask the sentinel')
  const [first] = toSentinel()
  await eventually(() => first!.destroyed, 'it is given up')
  await process.app.close()
  await eventually(() => toSentinel().every(({ destroyed }) => destroyed), 'all have gone')
})
