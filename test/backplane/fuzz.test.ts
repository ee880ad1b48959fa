import { createParser } from 'eventsource-parser'
import t, { type Test } from 'tap'
import type { Backplane, BackplaneEntry } from '../../lib/backplane/backplane.js'
import { faultOf } from '../../lib/backplane/entry-format.js'
import { jetStream } from '../../lib/backplane/nats/jetstream.js'
import { entriesOf } from '../../lib/backplane/nats/nats-stream.js'
import type { RedisClient } from '../../lib/backplane/redis/client.js'
import { RedisLog, START } from '../../lib/backplane/redis/redis-log.js'
import { redisStreams } from '../../lib/backplane/redis/redis-streams.js'
import { messageOf } from '../kit/foreign-entries.js'
import { startNats } from '../kit/nats-server.js'
import { RandomEntries } from '../kit/random-entries.js'
import { startRedis } from '../kit/redis-server.js'
import { serve } from '../kit/server.js'

/** Those that are read without an engine, and those that a whole app reads from one. */
const PARSED = 100_000
const ENTRIES = 4000
/** Random entries between two events of the app. */
const ROUND = 400
const MINE = 'mine'
const LONG = 60_000
/** Printed where the test fails, so that it can be run again. */
const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)

const VALID = { messageId: 'app:1', labels: '{"topic":"a"}', body: 'data: valid\n\n' }

/**
 * Reads random entries, each before a valid one.
 *
 * @param read gives the entries of the pair; the one at `cursor` is the valid one
 */
async function checkReader(
  t: Test,
  read: () => Promise<{ cursor: string; entries: readonly BackplaneEntry[]; foreign: number }>
): Promise<void> {
  t.comment(`SEED=${seed}`)
  const bodies: string[] = []
  let [missing, passedOver] = [0, 0]
  for (let i = 0; i < PARSED; i++) {
    const { cursor, entries, foreign } = await read()
    const known = entries.filter((entry) => faultOf(entry) === undefined)
    const valid = known.at(-1)
    if (valid?.cursor !== cursor || valid.message.body !== VALID.body || valid.messageId !== VALID.messageId) missing++
    passedOver += foreign + entries.length - known.length
    for (const { message } of known) if (message.kind === 'event') bodies.push(message.body)
  }
  t.equal(missing, 0, 'what stands behind it is read, as it was')
  t.ok(passedOver > PARSED / 4, `${passedOver} were passed over`)
  t.ok(bodies.length > PARSED, 'and those that are of the format were not')

  let [events, faults] = [0, 0]
  const parser = createParser({
    onEvent: ({ id, event }) => {
      events++
      if (id !== undefined || event === 'connected' || event === 'resync' || event === 'keepalive') faults++
    },
    onComment: () => faults++,
    onRetry: () => faults++,
    onError: () => faults++
  })
  for (const body of bodies) parser.feed(body)
  t.equal(events, bodies.length, 'none runs into the next, and none is two')
  t.equal(faults, 0, 'none says what only the plugin may say')
}

t.test('100,000 random entries of Redis stop no reader, and change no valid one', async (t) => {
  const random = new RandomEntries(seed)
  const log = new RedisLog('k', 1000)
  const valid = ['m', VALID.messageId, 'l', VALID.labels, 'b', VALID.body]
  await checkReader(t, async () => {
    const entries = [
      ['7-1', random.fields()],
      ['7-2', valid]
    ]
    const call = async (command: string) => (command === 'xread' ? [['k', entries]] : [['7-0', ['a', 'b']]])
    const mark = { ...START, last: '7-0', identity: '7-0\na\nb' }
    let foreign = 0
    const read = await log.readAfter({ call } as unknown as RedisClient, mark, 0, () => foreign++)
    return { cursor: '7-2', entries: (read as { entries: BackplaneEntry[] }).entries, foreign }
  })
})

t.test('100,000 random messages of JetStream stop no reader, and change no valid one', async (t) => {
  const random = new RandomEntries(seed)
  const valid = messageOf([VALID])
  await checkReader(t, async () => {
    let foreign = 0
    const messages = [random.message(), valid]
    const entries = messages.flatMap((data, i) =>
      entriesOf({ seq: i + 1, at: 1, nanos: '1', pending: 0, data }, 'epoch', () => foreign++)
    )
    return { cursor: 'epoch-2-1', entries, foreign }
  })
})

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

t.test('random entries in Redis stop no app, and change none of its events', async (t) => {
  const server = await startRedis(t, { config: ['appendonly no'] })
  if (server === undefined) return
  const random = new RandomEntries(seed)
  await check(
    t,
    () => redisStreams({ url: server.url }),
    async (count) => {
      const pipeline = server.admin.pipeline()
      for (let i = 0; i < count; i++) pipeline.xadd('pylon-sse', '*', ...random.fields())
      for (const [error] of (await pipeline.exec())!) if (error) throw error
    }
  )
})

t.test('random messages in JetStream stop no app, and change none of its events', async (t) => {
  const server = await startNats(t)
  if (server === undefined) return
  const random = new RandomEntries(seed)
  const { connection } = await server.admin()
  await check(
    t,
    () => jetStream({ servers: server.servers }),
    async (count) => {
      for (let i = 0; i < count; i++) connection.publish('pylon-sse.events', random.message())
      await connection.flush()
    }
  )
})
