import fastifySse from '@fastify/sse'
import { History } from '../history.js'

/** As its README does it, for as many clients as a Set holds: it has no broadcast of its own. */
export async function setup(app, { topics = 0, history = false }) {
  const missed = history ? new History() : undefined
  const rooms = new Map()
  if (topics === 0) rooms.set(undefined, new Set())
  for (let n = 0; n < topics; n++) rooms.set(`t${n}`, new Set())
  let count = 0

  await app.register(fastifySse)
  app.get('/events', { sse: { kind: 'only', heartbeat: false } }, async (request, reply) => {
    const { sse } = reply
    sse.keepAlive()
    sse.sendHeaders()
    // Node keeps the head back until there is something to send after it.
    reply.raw.flushHeaders()
    await sse.replay(async (lastEventId) => {
      for (const { id, data } of missed?.after(lastEventId) ?? []) await sse.send({ id, data })
    })
    const room = rooms.get(request.query.topic)
    room.add(sse)
    count++
    sse.onClose(() => {
      room.delete(sse)
      count--
    })
  })

  return {
    publish(data, n, topic) {
      const id = String(n)
      missed?.push(id, data)
      // Not awaited: a client that does not read must not hold up the others.
      for (const sse of rooms.get(topic)) sse.send({ id, data }).catch(noop)
    },
    get count() {
      return count
    }
  }
}

function noop() {}
