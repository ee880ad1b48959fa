// The peer better-sse.

import { createChannel, createSession } from 'better-sse'
import { History } from './history.js'
import { roomsOf } from './rooms.js'

/** The peer better-sse, as its guide to channels shows it: a session per client, registered with a channel. */
export async function setup(app, { topics = 0, history = false }) {
  const missed = history ? new History(history) : undefined
  const channels = roomsOf(topics, createChannel)
  let count = 0

  app.get('/events', async (request, reply) => {
    reply.hijack()
    const session = await createSession(request.raw, reply.raw, { keepAlive: null })
    const after = missed?.after(session.lastId, request.query.topic) ?? []
    if (after.length > 0) {
      await session.batch((buffer) => {
        for (const { id, data } of after) buffer.push(data, 'message', id)
      })
    }
    channels.get(request.query.topic).register(session)
    count++
    session.once('disconnected', () => count--)
  })

  return {
    publish(data, n, topic) {
      const eventId = String(n)
      missed?.push(eventId, data, topic)
      channels.get(topic).broadcast(data, 'message', { eventId })
    },
    get count() {
      return count
    }
  }
}
