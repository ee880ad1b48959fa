import t from 'tap'
import { jetStream } from '../../../lib/backplane/nats/jetstream.js'
import { NatsCluster } from '../../kit/nats-cluster.js'
import { OwedEvents } from '../../kit/owed-events.js'
import { LONG, startProcess } from '../../kit/processes.js'

/** How long servers may take to elect leaders, on a busy machine, ms. Each attempt takes up to nine seconds. */
const ELECTIONS = 90_000

t.test('no client misses an event when the server that leads a stream of three replicas is killed', async (t) => {
  const cluster = await NatsCluster.start(t)
  if (cluster === undefined) return
  const options = { servers: cluster.addresses, replicas: 3, publishTimeout: ELECTIONS }
  const start = () => startProcess(t, jetStream(options))
  const processes = [await start(), await start()] as const
  const present = [await processes[0].connect(), await processes[1].connect()]
  const leaver = await processes[0].connect()
  const owed = new OwedEvents(processes)
  await owed.more(50)
  await leaver.close()
  const leader = await cluster.leaderOf('PYLON_SSE')
  await leader.kill9()
  await owed.more(200)
  await owed.end()
  const returned = await processes[1].connect({ lastEventId: leaver.lastEventId })
  await processes[0].app.sse.publish('end')
  for (const client of [...present, returned]) await client.until(({ data }) => data === '"end"', LONG)
  const resyncs = processes.flatMap(({ log }) => log.matching(/told to refetch/))
  t.strictSame(resyncs, [], 'no process takes the failover for a loss')
  for (const events of [...present.map(({ events }) => events), [...leaver.events, ...returned.events]]) {
    const account = { delivered: owed.acknowledged, resyncs: 0, told: 0, silent: 0, twice: 0 }
    t.strictSame(owed.account(events), account)
  }
  t.strictSame(owed.errors, [], 'what is published meanwhile waits for the new leader')
})
