// The task board on one process (`npm start`). Its data are in a folder, or with DATABASE_URL in a Postgres.

import { fileURLToPath } from 'node:url'
import { buildApp } from './app.js'
import { openDatabase } from './database/database.js'

const DATA = fileURLToPath(new URL('data', import.meta.url))

const { HOST: host = '127.0.0.1', PORT: port = '3000', LOG_LEVEL: level = 'warn' } = process.env
const { DATABASE_URL: url, DATA_DIR: dataDir = DATA } = process.env

let database
let app
try {
  database = await openDatabase({ url, dataDir })
  app = buildApp({ database, fastify: { logger: { level } } })
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())
  const address = await app.listen({ host, port: Number(port) })
  console.log(`Task board on ${address.replace('127.0.0.1', 'localhost')} (a private window is a second visitor)`)
} catch (error) {
  console.error(`The task board could not start: ${error.message}`)
  process.exitCode = 1
  await (app ?? database)?.close()
}
