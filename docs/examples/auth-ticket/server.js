import { readFile } from 'node:fs/promises'
import Fastify from 'fastify'
import { addEvents } from './events.js'
import { logger } from './logger.js'

const secret = process.env.JWT_SECRET ?? ''
if (secret.length < 32) throw new Error('JWT_SECRET must be a secret of 32 characters or more: openssl rand -hex 32')

const app = Fastify({ logger })
await addEvents(app, { secret })

for (const [path, file, type] of [
  ['/', 'page.html', 'text/html'],
  ['/live.js', 'live.js', 'text/javascript']
]) {
  const content = await readFile(new URL(file, import.meta.url))
  app.get(path, (_request, reply) => reply.type(type).send(content))
}

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())
await app.listen({ port: Number(process.env.PORT ?? 3000) })

setInterval(() => app.sse.broadcast({ it: new Date().toISOString() }, { topic: 'user.ann' }), 1000).unref()
