// The peer res.write loop.

import { History } from './history.js'
import { roomsOf } from './rooms.js'

/** The peer `res.write` loop, as people write it by hand: one string, one `write` per client. */
export async function setup(app, { topics = 0, history = false }) {
  const missed = history ? new History(history) : undefined
  const rooms = roomsOf(topics, () => new Set())
  let count = 0

  app.get('/events', (request, reply) => {
    reply.hijack()
    const res = reply.raw
    res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
    res.flushHeaders()
    const after = missed?.after(request.headers['last-event-id'], request.query.topic) ?? []
    if (after.length > 0) res.write(after.map(({ data }) => data).join(''))
    const room = rooms.get(request.query.topic)
    room.add(res)
    count++
    res.once('close', () => {
      room.delete(res)
      count--
    })
  })

  return {
    publish(data, n, topic) {
      const frame = `id: ${n}\ndata: ${JSON.stringify(data)}\n\n`
      missed?.push(String(n), frame, topic)
      for (const res of rooms.get(topic)) res.write(frame)
    },
    get count() {
      return count
    }
  }
}
