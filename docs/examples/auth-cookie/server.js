import { readFile } from 'node:fs/promises'
import Fastify from 'fastify'
import { addEvents } from './events.js'

const secret = process.env.JWT_SECRET ?? ''
if (secret.length < 32) throw new Error('JWT_SECRET must be a secret of 32 characters or more: openssl rand -hex 32')

const app = Fastify({ logger: true })
await addEvents(app, { secret })

const page = await readFile(new URL('page.html', import.meta.url))
app.get('/', (_request, reply) => reply.type('text/html').send(page))

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())
await app.listen({ port: Number(process.env.PORT ?? 3000) })

// Events for one user, to try it out.
setInterval(() => app.sse.broadcast({ it: new Date().toISOString() }, { topic: 'user.ann' }), 1000).unref()
