/** Options of @fastify/jwt. A token must name a user (`sub`) and an expiry (`exp`). */
export const tokens = {
  sign: { algorithm: 'HS256', expiresIn: '15m' },
  verify: { algorithms: ['HS256'], requiredClaims: ['sub', 'exp'] }
}

/** @fastify/jwt answers some invalid tokens, such as those of another algorithm, with 500. Here each gets 401. */
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
    // These are patterns: a user whose id is `*` would get the topics of all users.
    if (!/^[\w-]+$/.test(user.sub)) return []
    return [`user.${user.sub}`, 'orders.*']
  }
}
