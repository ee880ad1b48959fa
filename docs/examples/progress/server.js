import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import Fastify from 'fastify'
import pylonSse from 'pylon-sse'
import { addLogin, authenticate } from './login.js'

const STEP = Number(process.env.STEP ?? 500)

const app = Fastify()
await addLogin(app)
await app.register(pylonSse, { path: false })

// #region progress
app.post('/jobs', { onRequest: authenticate }, async ({ user }, reply) => {
  const id = randomUUID()
  app.sse.run(work(id), {
    topic: `job.${user.sub}.${id}`,
    event: 'progress',
    describeError: () => 'The job has failed.'
  })
  return reply.code(202).send({ id })
})

async function* work(id) {
  for (let percent = 20; percent < 100; percent += 20) {
    await sleep(STEP) // in place of some work
    yield { percent }
  }
  return { result: `/results/${id}` } // the data of the event `done`
}

// The user is part of the topic: others have no such job.
app.get('/jobs/:id', { onRequest: authenticate }, (request, reply) =>
  app.sse.stream(request, reply, { run: `job.${request.user.sub}.${request.params.id}` })
)
// #endregion

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())
console.log(await app.listen({ port: Number(process.env.PORT ?? 3000) }))
