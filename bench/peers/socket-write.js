// The peer socket.write, which shows the least that Node's sockets cost.

import { roomsOf } from './rooms.js'

/**
 * The peer `socket.write` alone: no library, but the least that Node can do for a stream of JSON. Each event is one Buffer,
 * written to the sockets whether or not they take it. Nothing is checked, kept or counted. A library that writes each event
 * by itself cannot cost less.
 */
export async function setup(app, { topics = 0 }) {
  const rooms = roomsOf(topics, () => [])
  let count = 0

  app.get('/events', (request, reply) => {
    reply.hijack()
    const res = reply.raw
    res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
    res.flushHeaders()
    rooms.get(request.query.topic).push(res.socket)
    count++
  })

  return {
    publish(data, n, topic) {
      // The payload is ASCII, so the string's length is that in bytes.
      const frame = `id: ${n}\ndata: ${JSON.stringify(data)}\n\n`
      const chunk = Buffer.from(`${frame.length.toString(16)}\r\n${frame}\r\n`, 'latin1')
      for (const socket of rooms.get(topic)) socket.write(chunk)
    },
    get count() {
      return count
    }
  }
}
