import type { Socket } from 'node:net'
import t from 'tap'
import { Client } from '../../../lib/hub/clients/client.js'
import { EventStream } from '../../../lib/wire/stream.js'
import type { EventReader } from '../../kit/event-reader.js'
import { asksFor, END, heard, serveAll, tellEach } from '../../kit/topics.js'

/** The buffers that are written to these sockets from now on. */
function buffersTo(sockets: Iterable<Socket>): Map<Socket, Buffer[]> {
  const buffers = new Map<Socket, Buffer[]>()
  for (const socket of sockets) {
    const own: Buffer[] = []
    buffers.set(socket, own)
    const { write } = socket
    socket.write = (...args: unknown[]) => {
      if (Buffer.isBuffer(args[0])) own.push(args[0])
      return Reflect.apply(write, socket, args)
    }
  }
  return buffers
}

t.test('clients with equal subscriptions share bytes, live and replayed', async (t) => {
  const sockets: Socket[] = []
  const served = await serveAll(
    t,
    { shards: 3 },
    { setup: (app) => void app.server.on('connection', (socket) => sockets.push(socket)) }
  )
  const readers: EventReader[] = []
  for (let i = 0; i < 6; i++) {
    // In the same order or another, asked for or subscribed: it is the set that counts.
    readers.push(await served.connect(i % 2 === 0 ? asksFor('a', 'b.*') : asksFor('b.*', 'a')))
  }
  readers.push(await served.connect())
  for (const topic of ['b.*', 'a']) served.arrivals.last.subscribe(topic)
  const live = buffersTo(sockets)
  for (let round = 0; round < 3; round++) {
    tellEach(served, ['a', 'b.x', undefined, 'c'])
    await heard(served, ...readers)
  }
  const [first, ...others] = [...live.values()]
  t.equal(first!.length, 3, 'one write a flush')
  for (const other of others) t.ok(other.length === 3 && other.every((buffer, i) => buffer === first![i]))

  const { lastEventId } = readers[0]!
  tellEach(served, ['a', 'c', 'b.x'])
  await heard(served, ...readers)
  sockets.length = 0
  served.app.server.once('connection', (socket) => buffersTo([socket]))
  const replays: Map<Socket, Buffer[]>[] = []
  served.app.server.on('connection', (socket) => replays.push(buffersTo([socket])))
  for (let i = 0; i < 3; i++) {
    const again = await served.connect({ ...asksFor('a', 'b.*'), lastEventId })
    await again.until(({ data }) => data === END)
  }
  const replayed = replays.map((one) => [...one.values()][0]!.find((buffer) => buffer.includes('data: b.x')))
  t.ok(replayed[0])
  t.ok(replayed.every((buffer) => buffer === replayed[0]))
})

t.test('an event to a topic is offered to its subscribers, and no other client is looked at', async (t) => {
  const served = await serveAll(t, {}, { transport: 'unix' })
  const readers: EventReader[] = []
  for (let i = 0; i < 60; i++) readers.push(await served.connect(asksFor(`topic.${i % 20}`)))
  readers.push(await served.connect(asksFor('topic.*')))
  readers.push(await served.connect())
  await heard(served, ...readers)
  const visits = [
    t.capture(EventStream.prototype, 'write', EventStream.prototype.write),
    ...(['take', 'advance'] as const).map((name) => t.capture(Client.prototype, name, Client.prototype[name]))
  ]
  served.app.sse.broadcastMessage('seven', { topic: 'topic.7' })
  for (const i of [7, 27, 47, 60]) t.equal((await readers[i]!.next()).data, 'seven')
  served.app.sse.broadcastMessage('nobody', { topic: 'none' })
  served.app.sse.broadcastMessage('eight', { topic: 'topic.8' })
  for (const i of [8, 28, 48, 60]) t.equal((await readers[i]!.next()).data, 'eight')
  t.equal(visits.flatMap((visit): unknown[] => visit()).length, 4 + 4)
})
