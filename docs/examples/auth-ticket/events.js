import jwt from '@fastify/jwt'
import pylonSse from 'pylon-sse'
import { access, authenticate, tokens } from './access.js'
import { Tickets } from './tickets.js'
import { checkPassword, credentials } from './users.js'

export async function addEvents(app, { secret }) {
  const tickets = new Tickets()
  await app.register(jwt, { ...tokens, secret })

  app.post('/login', { schema: { body: credentials } }, async (request, reply) => {
    const sub = await checkPassword(request.body)
    if (!sub) return reply.code(401).send({ message: 'wrong name or password' })
    return { user: sub, token: app.jwt.sign({ sub }) }
  })

  app.post('/ticket', { onRequest: (request) => authenticate(request) }, async ({ user }, reply) => {
    reply.header('cache-control', 'no-store')
    return { ticket: tickets.issue(user) }
  })

  await app.register(pylonSse, {
    ...access,
    route: {
      async onRequest(request, reply) {
        request.user = tickets.redeem(request.query.ticket)
        if (!request.user) return reply.code(401).send({ message: 'this takes a ticket that is new' })
      }
    }
  })
}
