/** Options of @fastify/jwt. A token names a user (`sub`) and an end (`exp`), or it is none. */
export const tokens = {
  sign: { algorithm: 'HS256', expiresIn: '15m' },
  verify: { algorithms: ['HS256'], requiredClaims: ['sub', 'exp'] }
}

/** @fastify/jwt answers some faults of a token, another algorithm say, with 500: here each is a 401. */
export async function authenticate(request, options) {
  try {
    await request.jwtVerify(options)
  } catch (error) {
    error.statusCode ??= 401
    throw error
  }
}

/** Options of pylon-sse. */
export const access = {
  onConnect(client, { user }) {
    client.state = { user: user.sub }
    client.expiresAt = new Date(user.exp * 1000)
  },
  authorizeTopics({ user }) {
    // These are patterns: a user whose id is `*` would hear what is for everybody else.
    if (!/^[\w-]+$/.test(user.sub)) return []
    return [`user.${user.sub}`, 'orders.*']
  }
}
