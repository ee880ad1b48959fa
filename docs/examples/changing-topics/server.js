import { createReadStream } from 'node:fs'
import Fastify from 'fastify'
import pylonSse from 'pylon-sse'
import { addLogin, authenticate } from './login.js'

const app = Fastify()
await addLogin(app)

// #region route
const mayHear = (user, topic) => /^orders\.\d+$/.test(topic) || topic === `user.${user.sub}`

await app.register(pylonSse, {
  cors: false,
  route: { onRequest: authenticate },
  authorizeTopics: ({ user }, topics) => topics.filter((topic) => mayHear(user, topic)),
  onConnect(client, { user }) {
    client.state = { user: user.sub }
    client.expiresAt = new Date(user.exp * 1000)
  }
})

const topics = { type: 'array', maxItems: 100, items: { type: 'string' } }
const body = {
  type: 'object',
  required: ['client', 'add', 'remove'],
  properties: { client: { type: 'string', minLength: 1 }, add: topics, remove: topics }
}
app.post('/events/topics', { schema: { body }, onRequest: authenticate }, async ({ body, user }, reply) => {
  if (!body.add.every((topic) => mayHear(user, topic))) return reply.code(403).send({ message: 'not your topic' })
  const own = { id: body.client, state: { user: user.sub } } // no client of another user
  for (const topic of body.add) app.sse.subscribe(own, topic)
  for (const topic of body.remove) app.sse.unsubscribe(own, topic)
  return reply.code(204).send()
})
// #endregion

app.post('/orders/:id', { onRequest: authenticate }, async ({ params, body }) => {
  const id = Number(params.id)
  app.sse.broadcast({ id, state: String(body.state) }, { event: 'order', topic: `orders.${id}` })
  return { clients: app.sse.clientCount }
})

const page = new URL('page.html', import.meta.url)
const client = new URL(import.meta.resolve('pylon-sse/client.min.js'))
app.get('/', (_request, reply) => reply.type('text/html').send(createReadStream(page)))
app.get('/client.js', (_request, reply) => reply.type('text/javascript').send(createReadStream(client)))

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())
console.log(await app.listen({ port: Number(process.env.PORT ?? 3000) }))
