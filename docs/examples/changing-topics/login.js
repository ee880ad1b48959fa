import { randomBytes } from 'node:crypto'
import cookie from '@fastify/cookie'
import jwt from '@fastify/jwt'

/** A login by name only, to try things out. docs/authentication.md has one with passwords. */
export async function addLogin(app) {
  await app.register(cookie)
  await app.register(jwt, {
    secret: process.env.JWT_SECRET || randomBytes(32).toString('hex'),
    sign: { algorithm: 'HS256', expiresIn: '12h' },
    verify: { algorithms: ['HS256'], requiredClaims: ['sub', 'exp'] },
    cookie: { cookieName: 'token' }
  })
  const name = { type: 'string', pattern: '^[a-z0-9-]{1,32}$' }
  const body = { type: 'object', required: ['name'], properties: { name } }
  app.post('/login', { schema: { body } }, async (request, reply) => {
    const sub = request.body.name
    reply.setCookie('token', app.jwt.sign({ sub }), { path: '/', httpOnly: true, sameSite: 'strict', secure: 'auto' })
    return { user: sub }
  })
}

/** Lets in users who have logged in. `request.user` is then `{ sub, exp }`. */
export async function authenticate(request) {
  try {
    await request.jwtVerify({ onlyCookie: true })
  } catch (error) {
    error.statusCode ??= 401 // otherwise a token of another algorithm gets 500
    throw error
  }
}
