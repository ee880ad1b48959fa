import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import Fastify from 'fastify'
import pylonSse from 'pylon-sse'
import { addLogin, authenticate } from './login.js'

const STEP = Number(process.env.STEP ?? 500)

const app = Fastify()
await addLogin(app)

// #region job
const jobs = new Map()
const jobOf = (topic) => jobs.get(topic.replace(/^job\./, ''))

await app.register(pylonSse, {
  cors: false,
  route: { onRequest: authenticate },
  authorizeTopics: ({ user }, topics) => topics.filter((topic) => jobOf(topic)?.owner === user.sub),
  onConnect(client, { user }) {
    client.expiresAt = new Date(user.exp * 1000)
    // The progress so far: the job may have ended before the page asks.
    for (const topic of client.topics) client.send(jobOf(topic).status, { event: 'job' })
  }
})

app.post('/jobs', { onRequest: authenticate }, async ({ user }, reply) => {
  const id = randomUUID()
  const job = { owner: user.sub, status: { percent: 0 } }
  jobs.set(id, job)
  work(id, job)
  return reply.code(202).send({ id })
})

async function work(id, job) {
  const tell = (status) => {
    job.status = status
    app.sse.broadcast(status, { event: 'job', topic: `job.${id}` })
  }
  try {
    for (let percent = 20; percent <= 100; percent += 20) {
      await sleep(STEP) // stands for some work
      tell({ percent })
    }
    tell({ percent: 100, result: `/results/${id}` })
  } catch {
    tell({ ...job.status, error: 'The job has failed.' })
  }
  setTimeout(() => jobs.delete(id), 3_600_000).unref()
}
// #endregion

const page = await readFile(new URL('page.html', import.meta.url))
app.get('/', (_request, reply) => reply.type('text/html').send(page))

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())
console.log(await app.listen({ port: Number(process.env.PORT ?? 3000) }))
