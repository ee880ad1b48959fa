// The task board on one process (`npm start`).

import { buildApp } from './app.js'

const host = process.env.HOST ?? '127.0.0.1'
const port = Number(process.env.PORT ?? 3000)

const app = buildApp({ fastify: { logger: { level: process.env.LOG_LEVEL ?? 'warn' } } })

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())

try {
  const url = await app.listen({ host, port })
  console.log(`Task board on ${url.replace('127.0.0.1', 'localhost')} (a private window is a second visitor)`)
} catch (error) {
  console.error(`The task board could not start: ${error.message}`)
  process.exitCode = 1
}
