import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import Fastify from 'fastify'
import pylonSse from 'pylon-sse'
import { addLogin, authenticate } from './login.js'
import { tokensOf } from './model.js'

const app = Fastify()
await addLogin(app)
await app.register(pylonSse, { path: false })

// #region answers
const owners = new Map()

async function mayRead({ params, user }, reply) {
  if (owners.get(params.id) !== user.sub) return reply.code(404).send({ message: 'There is no such answer.' })
}

app.post('/answers', { onRequest: authenticate }, async ({ body, user }, reply) => {
  const id = randomUUID()
  owners.set(id, user.sub)
  app.sse.run(
    async function* ({ signal }) {
      for await (const token of tokensOf(body.question, signal)) yield { event: 'token', data: token }
    },
    { topic: `answer.${id}`, abandonAfter: 60_000 }
  )
  return reply.code(202).send({ id })
})

app.get('/answers/:id', { onRequest: [authenticate, mayRead] }, (request, reply) =>
  app.sse.stream(request, reply, { run: `answer.${request.params.id}` })
)

app.delete('/answers/:id', { onRequest: [authenticate, mayRead] }, async ({ params }, reply) => {
  app.sse.stopRun(`answer.${params.id}`) // wherever it is
  return reply.code(204).send()
})
// #endregion

const page = await readFile(new URL('page.html', import.meta.url))
app.get('/', (_request, reply) => reply.type('text/html').send(page))

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())
console.log(await app.listen({ port: Number(process.env.PORT ?? 3000) }))
