// The peer @fastify/sse.

import fastifySse from '@fastify/sse'
import { History } from './history.js'
import { roomsOf } from './rooms.js'

/** The peer @fastify/sse, as its README shows it. It has no broadcast, so the clients are kept in a Set. */
export async function setup(app, { topics = 0, history = false }) {
  const missed = history ? new History(history) : undefined
  const rooms = roomsOf(topics, () => new Set())
  let count = 0

  await app.register(fastifySse)
  app.get('/events', { sse: { kind: 'only', heartbeat: false } }, async (request, reply) => {
    const { sse } = reply
    sse.keepAlive()
    sse.sendHeaders()
    // Node holds the head back until the first write of the body.
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
