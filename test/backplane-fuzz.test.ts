import t, { type Test } from 'tap'
import type { Backplane } from '../lib/backplane/backplane.js'
import { jetStream } from '../lib/backplane/jetstream.js'
import { redisStreams } from '../lib/backplane/redis-streams.js'
import { startNats } from './kit/nats-server.js'
import { RandomEntries } from './kit/random-entries.js'
import { startRedis } from './kit/redis-server.js'
import { serve } from './kit/server.js'

const ENTRIES = 100_000
/** Random entries between two events of the app. */
const ROUND = 1000
const MINE = 'mine'
const LONG = 60_000
/** Printed where the test fails, so that it can be run again. */
const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)

/** An app, and a client of it. */
async function startApp(t: Test, backplane: Backplane) {
  const served = await serve(t, { sse: { backplane, queueDepth: 10_000 } })
  return { ...served, client: await served.connect() }
}

/** @param put puts so many random entries into the engine, and resolves when it has them */
async function check(t: Test, make: () => Backplane, put: (count: number) => Promise<unknown>): Promise<void> {
  t.comment(`SEED=${seed}`)
  const { app, client } = await startApp(t, make())
  const sent: string[] = []
  for (let n = 0; n < ENTRIES / ROUND; n++) {
    const published = [1, 2].map(async (i) => {
      const text = `${n} ${i} ${'☃\n'.repeat(n % 7)}`
      sent.push(text)
      await app.sse.publish(text, { event: MINE })
    })
    await Promise.all([put(ROUND), ...published])
  }
  const ofApp = (events: readonly { event?: string | undefined; data: string }[]) =>
    events.filter(({ event }) => event === MINE).map(({ data }) => JSON.parse(data))
  await app.sse.publish('end', { event: MINE })
  await client.until(({ data }) => data === '"end"', LONG)
  t.strictSame(ofApp(client.events), [...sent, 'end'], 'each event of the app once, as it was, in order')
  const { backplane } = app.sse.stats()
  t.ok(backplane!.foreign > ENTRIES / 4, `${backplane!.foreign} were passed over`)
  t.ok(client.events.length > sent.length + ENTRIES / 100, 'and those that are of the format were not')
  t.ok(backplane!.connected)

  const later = await startApp(t, make())
  const [from] = client.events.filter(({ event }) => event === MINE).slice(-4)
  const resumed = await later.connect({ lastEventId: from!.id! })
  await app.sse.publish('more', { event: MINE })
  await resumed.until(({ data }) => data === '"more"', LONG)
  t.strictSame(ofApp(resumed.events), [...sent.slice(-2), 'end', 'more'], 'a process that starts has them, too')
}

t.test('100,000 random entries in Redis stop no reader, and change no event', async (t) => {
  const server = await startRedis(t, { config: ['appendonly no'] })
  if (server === undefined) return
  const random = new RandomEntries(seed)
  await check(
    t,
    () => redisStreams({ url: server.url, maxLength: 2 * ENTRIES }),
    async (count) => {
      const pipeline = server.admin.pipeline()
      for (let i = 0; i < count; i++) pipeline.xadd('pylon-sse', '*', ...random.fields())
      for (const [error] of (await pipeline.exec())!) if (error) throw error
    }
  )
})

t.test('100,000 random messages in JetStream stop no reader, and change no event', async (t) => {
  const server = await startNats(t)
  if (server === undefined) return
  const random = new RandomEntries(seed)
  const { connection } = await server.admin()
  await check(
    t,
    () => jetStream({ servers: server.servers, maxMessages: 2 * ENTRIES }),
    async (count) => {
      for (let i = 0; i < count; i++) connection.publish('pylon-sse.events', random.message())
      await connection.flush()
    }
  )
})
