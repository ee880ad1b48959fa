// Fails engines over while two processes publish, and says what their clients got. It takes some minutes:
// npm run failovers [-- part of a title]
import type { Test } from 'tap'
import { jetStream } from '../../lib/backplane/nats/jetstream.js'
import { redisStreams } from '../../lib/backplane/redis/redis-streams.js'
import { NatsCluster } from '../kit/nats-cluster.js'
import { OwedEvents } from '../kit/owed-events.js'
import { eventually, LONG, startProcess } from '../kit/processes.js'
import { RedisCluster } from '../kit/redis-cluster.js'
import { RedisSentinel } from '../kit/redis-sentinel.js'
import { type RedisServer, startRedis } from '../kit/redis-server.js'

/** As much of a test as the kit needs. */
class Run {
  readonly #ends: (() => unknown)[] = []

  get test(): Test {
    const t = {
      teardown: (end: () => unknown) => this.#ends.push(end),
      pass: (_name: string, { skip }: { skip: string }) => console.log(skip),
      fail: (message: string) => console.log(message)
    }
    return t as unknown as Test
  }

  async end(): Promise<void> {
    for (const end of this.#ends.reverse()) await end()
  }
}

/** Data of the events that a server of Redis holds. */
async function dataIn({ admin }: RedisServer): Promise<string[]> {
  const entries = (await admin.xrange('pylon-sse', '-', '+')) as [string, string[]][]
  const bodies = entries.map(([, fields]) => fields[fields.indexOf('b') + 1]!)
  return bodies.map((body) => /^data: (\{.*)$/m.exec(body)?.[1]).filter((data) => data !== undefined)
}

type Backplanes = Parameters<typeof startProcess>[1]

/**
 * @param fault runs amid the traffic
 * @param survivor the server of Redis that has the log afterwards, where it is to be asked what it holds
 */
async function measure(
  t: Test,
  backplane: () => Backplanes,
  fault: (owed: OwedEvents) => Promise<void>,
  survivor?: RedisServer
) {
  const processes = [await startProcess(t, backplane()), await startProcess(t, backplane())] as const
  const present = [await processes[0].connect(), await processes[1].connect()]
  const leaver = await processes[0].connect()
  const owed = new OwedEvents(processes)
  await owed.more(500)
  await leaver.close()
  await fault(owed)
  await owed.more(500)
  await owed.end()
  const returned = await processes[1].connect({ lastEventId: leaver.lastEventId })
  await processes[0].app.sse.publish('end')
  for (const client of [...present, returned]) await client.until(({ data }) => data === '"end"', LONG)
  const accounts = [...present.map(({ events }) => events), [...leaver.events, ...returned.events]]
  const codes = [...new Set(owed.errors.map(({ code }) => code))].join(', ')
  const rejected = `${owed.errors.length} rejected${codes && ` (${codes})`}`
  console.log(`  published ${owed.published}, acknowledged ${owed.acknowledged}, ${rejected}`)
  if (survivor !== undefined)
    console.log(`  acknowledged, and not in the log: ${owed.missingFrom(await dataIn(survivor))}`)
  for (const [i, name] of ['present on one', 'present on the other', 'away meanwhile'].entries()) {
    const { delivered, resyncs, told, silent, twice } = owed.account(accounts[i]!)
    const kinds = `${delivered} delivered, ${told} told by ${resyncs} resyncs, ${silent} lost in silence, ${twice} twice`
    console.log(`  ${name}: ${kinds}`)
    if (silent + twice > 0) process.exitCode = 1
  }
}

const limits = { publishTimeout: LONG }

function sentinelCase(failoverDetector: boolean, isPlanned: boolean, config: string[]) {
  return async (t: Test) => {
    const sentinel = await RedisSentinel.start(t, config, 1000)
    if (sentinel === undefined) return
    const backplane = () => redisStreams({ client: sentinel.client(t, { failoverDetector }), ...limits })
    const { master, replica } = sentinel
    await measure(
      t,
      backplane,
      async () => {
        if (isPlanned) await sentinel.failOver()
        else await master.kill9()
        await replica.waitForPromotion()
        if (!isPlanned) {
          await master.start()
          await master.admin.replicaof('127.0.0.1', replica.port)
        }
        await eventually(
          async () => (await master.replication()).role === 'slave',
          'the old master follows the new one'
        )
      },
      replica
    )
  }
}

const CASES: Record<string, (t: Test) => Promise<void>> = {
  'Redis, killed five times': async (t) => {
    const server = await startRedis(t)
    if (server === undefined) return
    await measure(
      t,
      () => redisStreams({ url: server.url, ...limits }),
      async (owed) => {
        for (let i = 0; i < 5; i++) {
          await server.kill9()
          await server.start()
          await owed.more(200)
        }
      }
    )
  },
  'Redis Cluster, a master killed': async (t) => {
    const cluster = await RedisCluster.start(t, 'pylon-sse')
    if (cluster === undefined) return
    await cluster.setFailover(true)
    await measure(
      t,
      () => redisStreams({ client: cluster.client(t), ...limits }),
      async () => {
        await cluster.master.kill9()
        await cluster.replica.waitForPromotion()
      }
    )
  },
  'JetStream, the leader killed': async (t) => {
    const cluster = await NatsCluster.start(t)
    if (cluster === undefined) return
    await measure(
      t,
      () => jetStream({ servers: cluster.addresses, replicas: 3, ...limits }),
      async () => (await cluster.leaderOf('PYLON_SSE')).kill9()
    )
  }
}
for (const isPlanned of [true, false])
  for (const detector of [false, true])
    for (const config of [[], ['min-replicas-to-write 1', 'min-replicas-max-lag 1']]) {
      const how = isPlanned ? 'a planned failover' : 'the master killed'
      const title = `Sentinel, ${how}, failoverDetector ${detector ? 'on' : 'off'}${config[0] ? `, ${config[0]}` : ''}`
      CASES[title] = sentinelCase(detector, isPlanned, config)
    }

const [part = ''] = process.argv.slice(2)
for (const [title, run] of Object.entries(CASES)) {
  if (!title.includes(part)) continue
  console.log(title)
  const one = new Run()
  try {
    await run(one.test)
  } finally {
    await one.end()
  }
}
