import Fastify from 'fastify'
import pylonSse from 'pylon-sse'
import { addLogin, authenticate } from './login.js'

const app = Fastify()
await addLogin(app)
await app.register(pylonSse, { path: false })

// #region rooms
const members = new Map([['1', new Set(['ann', 'bob'])]])

async function mayEnter({ params, user }, reply) {
  if (!members.get(params.id)?.has(user.sub)) return reply.code(404).send({ message: 'There is no such room.' })
}

app.register(
  async (rooms) => {
    rooms.addHook('onRequest', authenticate)
    rooms.addHook('onRequest', mayEnter)

    rooms.get('/events', (request, reply) =>
      app.sse.stream(request, reply, {
        topics: [`room.${request.params.id}`],
        everyone: false,
        state: { user: request.user.sub, room: request.params.id }
      })
    )

    rooms.post('/messages', async ({ params, body, user }, reply) => {
      app.sse.broadcast({ text: String(body.text), by: user.sub }, { event: 'said', topic: `room.${params.id}` })
      return reply.code(204).send()
    })

    rooms.delete('/members/:user', async ({ params }, reply) => {
      members.get(params.id).delete(params.user)
      app.sse.disconnect({ state: { user: params.user, room: params.id } }, { reconnect: false })
      return reply.code(204).send()
    })
  },
  { prefix: '/rooms/:id' }
)
// #endregion

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())
console.log(await app.listen({ port: Number(process.env.PORT ?? 3000) }))
