import Fastify from 'fastify'
import { addEvents } from './events.js'

const secret = process.env.JWT_SECRET ?? ''
if (secret.length < 32) throw new Error('JWT_SECRET must be a secret of 32 characters or more: openssl rand -hex 32')

const app = Fastify({ logger: true })
await addEvents(app, { secret })

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())
await app.listen({ port: Number(process.env.PORT ?? 3000) })

setInterval(() => app.sse.broadcast({ it: new Date().toISOString() }, { topic: 'user.ann' }), 1000).unref()
