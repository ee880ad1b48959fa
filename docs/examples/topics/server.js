import { readFile } from 'node:fs/promises'
import Fastify from 'fastify'
import pylonSse from 'pylon-sse'
import { addLogin, authenticate } from './login.js'

/** Stands for a database. */
const teams = new Map([
  ['ann', ['red', 'blue']],
  ['bob', ['blue']]
])

const app = Fastify()
await addLogin(app)

// #region register
await app.register(pylonSse, {
  cors: false,
  route: { onRequest: authenticate },
  authorizeTopics: ({ user }) => ['news', `user.${user.sub}`, 'orders.*'],
  onConnect(client, { user }) {
    client.state = { user: user.sub }
    client.expiresAt = new Date(user.exp * 1000)
    for (const team of teams.get(user.sub) ?? []) client.subscribe(`team.${team}`)
  }
})
// #endregion

// #region publish
app.post('/orders/:id', { onRequest: authenticate }, async ({ params, body }) => {
  app.sse.broadcast({ id: params.id, total: body.total }, { event: 'order', topic: `orders.${Number(params.id)}` })
  return {}
})
// #endregion

app.post('/teams/:team', { onRequest: authenticate }, async ({ params, body, user }, reply) => {
  if (!teams.get(user.sub)?.includes(params.team)) return reply.code(403).send({ message: 'not your team' })
  app.sse.broadcast({ from: user.sub, text: String(body.text) }, { event: 'said', topic: `team.${params.team}` })
  return {}
})

// #region except
app.post('/say', { onRequest: authenticate }, async (request) => {
  const except = request.headers['x-client-id']?.toString()
  app.sse.broadcast({ text: String(request.body.text) }, { event: 'said', topic: 'news', ...(except && { except }) })
  return {}
})
// #endregion

// #region leave
app.delete('/teams/:team/members/:user', { onRequest: authenticate }, async ({ params, user }, reply) => {
  if (user.sub !== params.user) return reply.code(403).send({ message: 'only by oneself' })
  teams.set(
    params.user,
    (teams.get(params.user) ?? []).filter((team) => team !== params.team)
  )
  for (const client of app.sse.clients) {
    if (client.state.user === params.user) client.unsubscribe(`team.${params.team}`)
  }
  return {}
})
// #endregion

// #region disconnect
app.post('/logout', { onRequest: authenticate }, async ({ user }, reply) => {
  app.sse.disconnect({ state: { user: user.sub } }, { reconnect: false })
  reply.clearCookie('token', { path: '/' })
  return {}
})
// #endregion

const page = await readFile(new URL('page.html', import.meta.url))
app.get('/', (_request, reply) => reply.type('text/html').send(page))

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())
console.log(await app.listen({ port: Number(process.env.PORT ?? 3000) }))
