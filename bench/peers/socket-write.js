/**
 * No library, and nobody's code: the least that Node can do for a stream of JSON. Each event is one Buffer, written to the
 * sockets as it is, whether or not they take it; nothing is checked, kept or counted. What it costs nobody can undercut
 * who writes each event by itself.
 */
export async function setup(app, { topics = 0 }) {
  const rooms = new Map()
  if (topics === 0) rooms.set(undefined, [])
  for (let n = 0; n < topics; n++) rooms.set(`t${n}`, [])
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
      // Its payload is ASCII.
      const frame = `id: ${n}\ndata: ${JSON.stringify(data)}\n\n`
      const chunk = Buffer.from(`${frame.length.toString(16)}\r\n${frame}\r\n`, 'latin1')
      for (const socket of rooms.get(topic)) socket.write(chunk)
    },
    get count() {
      return count
    }
  }
}
