import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import Fastify from 'fastify'
import pylonSse from 'pylon-sse'
import { addLogin, authenticate } from './login.js'

const app = Fastify()
await addLogin(app)

// #region chat
/** The newest messages. Stands for a database. */
const messages = []

const names = () => [...new Set([...app.sse.clients].map(({ state }) => state.user))].sort()
const tellNames = () => app.sse.broadcast(names(), { event: 'names' })

await app.register(pylonSse, {
  cors: false,
  route: { onRequest: authenticate },
  onConnect(client, { user }) {
    client.state = { user: user.sub }
    client.expiresAt = new Date(user.exp * 1000)
    client.send(messages, { event: 'messages' })
    tellNames()
  },
  onDisconnect(_client, reason) {
    if (reason !== 'shutdown') tellNames()
  }
})

const text = { type: 'string', minLength: 1, maxLength: 2000 }
const body = { type: 'object', required: ['text'], properties: { text } }
app.post('/messages', { schema: { body }, onRequest: authenticate }, async ({ user, body }) => {
  const message = { id: randomUUID(), from: user.sub, text: body.text }
  messages.push(message)
  if (messages.length > 100) messages.shift()
  app.sse.broadcast(message, { event: 'said' })
  return message
})
// #endregion

const page = await readFile(new URL('page.html', import.meta.url))
app.get('/', (_request, reply) => reply.type('text/html').send(page))

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())
console.log(await app.listen({ port: Number(process.env.PORT ?? 3000) }))
