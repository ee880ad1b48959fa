import { headers, type Msg } from '@nats-io/transport-node'
import t, { type Test } from 'tap'
import { NatsFeed, type StreamMessage } from '../../../lib/backplane/nats/feed.js'
import type { Linked } from '../../../lib/backplane/nats/link.js'
import { LateError, within } from '../../../lib/backplane/within.js'

/** A feed, and the server's end of it. */
async function startFeed(t: Test) {
  const told: StreamMessage[] = []
  const published: string[] = []
  const deleted: string[] = []
  let inbox = ''
  let isSubscribed = false
  let say: (error: Error | null, message: Msg) => void = () => {}
  const connection = {
    options: { inboxPrefix: '_MINE' },
    isClosed: () => false,
    publish: (subject: string) => published.push(subject),
    subscribe(subject: string, { callback }: { callback: typeof say }) {
      inbox = subject
      isSubscribed = true
      say = callback
      return {
        unsubscribe() {
          isSubscribed = false
        }
      }
    }
  }
  const consumers = {
    add: async () => ({ num_pending: 2, delivered: { consumer_seq: 1 } }),
    delete: async (stream: string) => deleted.push(stream)
  }
  const linked = { connection, manager: { consumers } } as unknown as Linked
  const feed = new NatsFeed(linked, 'S', 's', (message) => told.push(message))
  await feed.begin(7)
  t.teardown(() => feed.close())
  const from = (tokens: string, text = 'x') =>
    say(null, { reply: `$JS.ACK.${tokens}`, data: Buffer.from(text) } as unknown as Msg)
  const status = (code: number, description: string, fields: Record<string, string> = {}, reply?: string) => {
    const head = headers(code, description)
    for (const [name, value] of Object.entries(fields)) head.set(name, value)
    const respond = () => published.push(reply!)
    say(null, { headers: head, reply, respond, data: new Uint8Array() } as unknown as Msg)
  }
  return {
    feed,
    told,
    published,
    deleted,
    from,
    status,
    fail: (error: Error) => say(error, {} as Msg),
    inbox: () => inbox,
    isSubscribed: () => isSubscribed
  }
}

const numbers = (told: StreamMessage[]) => told.map(({ seq, at, pending, data }) => [seq, at, pending, `${data}`])

t.test('messages of old and new servers are read', async (t) => {
  const { feed, told, from, inbox } = await startFeed(t)
  t.equal(feed.pending, 3)
  t.match(inbox(), /^_MINE\.pylon-sse-[0-9a-f]{16}$/)
  from('S.name.1.7.1.1700000000123456789.2', 'a')
  from('_.hash.S.name.1.9.2.1700000000456000000.1', 'b')
  from('hub.hash.S.name.1.10.3.1700000000789999999.0.token', '')
  t.strictSame(numbers(told), [
    [7, 1700000000123, 2, 'a'],
    [9, 1700000000456, 1, 'b'],
    [10, 1700000000789, 0, '']
  ])
})

t.test('a flow control request of the server is answered', async (t) => {
  const { told, published, status, from, isSubscribed } = await startFeed(t)
  from('S.name.1.7.1.1700000000123456789.2')
  status(100, 'Idle Heartbeat', { 'Nats-Last-Consumer': '1', 'Nats-Last-Stream': '7' })
  status(100, 'FlowControl Request', {}, '$JS.FC.1')
  status(100, 'Idle Heartbeat', { 'Nats-Last-Consumer': '1', 'Nats-Consumer-Stalled': '$JS.FC.2' })
  t.strictSame(published, ['$JS.FC.1', '$JS.FC.2'])
  t.equal(told.length, 1)
  t.ok(isSubscribed())
})

for (const [what, fault] of Object.entries({
  'a message that has not arrived, told by the next': ({ from }) => from('S.name.1.9.3.1700000000123456789.2'),
  'a message that has not arrived, told by a heartbeat': ({ status }) =>
    status(100, 'Idle Heartbeat', { 'Nats-Last-Consumer': '2' }),
  'a message that comes again': ({ from }) => from('S.name.1.7.1.1700000000123456789.2'),
  'a status that is none of these': ({ status }) => status(409, 'Consumer Deleted'),
  'an error of the subscription': ({ fail }) => fail(new Error('no right'))
} satisfies Record<string, (server: Awaited<ReturnType<typeof startFeed>>) => void>)) {
  t.test(`the feed ends with ${what}, and passes on nothing after it`, async (t) => {
    const server = await startFeed(t)
    server.from('S.name.1.7.1.1700000000123456789.2')
    fault(server)
    t.type(await server.feed.ended, Error)
    server.from('S.name.1.8.2.1700000000123456789.2')
    server.status(100, 'FlowControl Request', {}, '$JS.FC.1')
    t.equal(server.told.length, 1)
    t.strictSame(server.published, [])
    t.notOk(server.isSubscribed())
    await server.feed.close()
    t.strictSame(server.deleted, ['S'])
  })
}

t.test('a message that does not come in time is reported as late', async (t) => {
  // The wait itself does not keep the process alive.
  const alive = setInterval(() => {}, 1000)
  t.teardown(() => clearInterval(alive))
  await t.rejects(within(1, new Promise(() => {})), LateError)
  t.equal(await within(10_000, Promise.resolve(7)), 7)
})
