import t from 'tap'
import type { EventReader } from '../../kit/event-reader.js'
import { asksFor, heard, serveAll, tellEach } from '../../kit/topics.js'

const TOPICS = ['orders', 'orders.new', 'orders.new.eu', 'ordersX', 'stock.new', 'Orders.new', 'constructor', 'ö 😀.x']
const patterns: [pattern: string, hears: string[]][] = [
  ['orders', ['orders']],
  ['orders.*', ['orders.new']],
  ['orders.**', ['orders', 'orders.new', 'orders.new.eu']],
  ['*', ['orders', 'ordersX', 'constructor']],
  ['*.new', ['orders.new', 'stock.new', 'Orders.new']],
  ['*.*.eu', ['orders.new.eu']],
  ['*.new.**', ['orders.new', 'orders.new.eu', 'stock.new', 'Orders.new']],
  ['**', TOPICS],
  ['ö 😀.*', ['ö 😀.x']],
  ['constructor', ['constructor']],
  ['__proto__.*', []],
  ['orders.new.**', ['orders.new', 'orders.new.eu']]
]

t.test('* stands for one word of a topic, and ** at the end for any more, when asked for or subscribed', async (t) => {
  const served = await serveAll(t)
  const [asked, subscribed] = [[] as EventReader[], [] as EventReader[]]
  for (const [pattern] of patterns) {
    asked.push(await served.connect(asksFor(pattern)))
    subscribed.push(await served.connect())
    served.arrivals.last.subscribe(pattern)
  }
  tellEach(served, TOPICS)
  const byAsking = await heard(served, ...asked)
  const bySubscribing = await heard(served, ...subscribed)
  for (const [i, [pattern, hears]] of patterns.entries()) {
    t.strictSame(byAsking[i], hears, `?topic=${pattern}`)
    t.strictSame(bySubscribing[i], hears, `subscribe('${pattern}')`)
  }
})

t.test('an event reaches a client once, however many of its patterns match', async (t) => {
  const served = await serveAll(t)
  const reader = await served.connect(asksFor('a.b', 'a.*', '*.b', 'a.**', '**'))
  tellEach(served, ['a.b', undefined])
  t.strictSame(await heard(served, reader), [['a.b', 'everyone']])
})
