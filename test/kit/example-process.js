// Runs programs of docs/examples in one process, one after the other, and tells where each listens.
import { subscribe } from 'node:diagnostics_channel'
import { setMaxListeners } from 'node:events'

setMaxListeners(0, process) // each program listens for signals

let app
subscribe('fastify.initialization', ({ fastify }) => {
  app = fastify
})
for (const { url, env } of JSON.parse(process.argv[2])) {
  Object.assign(process.env, env)
  await import(url)
  for (const name of Object.keys(env)) delete process.env[name]
  process.send(app.server.address().port)
}
// Of no use to what keeps the process alive: it ends when its programs do.
process.channel?.unref()
