import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Test } from 'tap'
import t from 'tap'
import { Audiences } from '../../lib/log/audience.js'
import { gate } from '../kit/deferred.js'
import { asksFor, serveAll, tellEach } from '../kit/topics.js'

/** The audiences of the server whose first client comes next: what topics leave behind. */
function nextAudiences(t: Test): () => Audiences {
  const { hold } = Audiences.prototype
  let audiences: Audiences | undefined
  const restore = () => {
    Audiences.prototype.hold = hold
  }
  Audiences.prototype.hold = function (subscriptions) {
    audiences = this
    restore()
    return this.hold(subscriptions)
  }
  t.teardown(restore)
  return () => audiences!
}

/** Bytes of heap in use, once all is collected that can be. */
function heapUsed(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  collect()
  return process.memoryUsage().heapUsed
}

t.test('100,000 topics that came and went leave no memory behind', async (t) => {
  const audiences = nextAudiences(t)
  const served = await serveAll(t, { history: { events: 100 } }, { transport: 'unix' })
  const reader = await served.connect()
  const client = served.arrivals.last
  const come = async (from: number, to: number) => {
    for (let n = from; n < to; n += 50) {
      for (let i = n; i < n + 50; i++) {
        const topic = i % 3 === 0 ? `room.${i}.*` : `room.${i}`
        client.subscribe(topic)
        served.app.sse.broadcastMessage(`${i}`, { topic: topic.replace('*', 'x') })
        client.unsubscribe(topic)
      }
      served.app.sse.broadcastMessage(`to ${n}`)
      await reader.until(({ data }) => data === `to ${n}`)
    }
  }
  t.equal(audiences().size, 0)
  await come(0, 10_000)
  const before = heapUsed()
  await come(10_000, 110_000)
  const grown = heapUsed() - before
  t.equal(audiences().size, 0)
  t.ok(grown < 4 * 2 ** 20, `the heap has grown by ${grown} bytes`)
})

t.test('a client that has gone leaves none of its topics behind', async (t) => {
  const audiences = nextAudiences(t)
  const gone = [gate(), gate(), gate()]
  let n = 0
  const served = await serveAll(t, { onDisconnect: () => void gone[n++]!.pass() })
  const [plain, pattern] = [await served.connect(asksFor('a', 'b')), await served.connect(asksFor('a.*', '**'))]
  const later = await served.connect()
  served.arrivals.last.subscribe('later')
  tellEach(served, ['later'])
  t.equal(audiences().size, 3)
  await Promise.all([plain.close(), pattern.abort(), later.close()])
  await Promise.all(gone.map(({ reached }) => reached))
  t.equal(audiences().size, 0)
  t.strictSame([...audiences().of('a'), ...audiences().of('a.x'), ...audiences().of('later')], [])
})
