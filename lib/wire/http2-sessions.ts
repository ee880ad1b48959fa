// The timeouts of HTTP/2 sessions that carry streams.

import type { Http2Session } from 'node:http2'

/** Number of open streams by session, with the timeout that the session has without them, ms. */
const sessions = new WeakMap<Http2Session, { streams: number; timeout: number }>()

/**
 * Removes the timeout of a session while it has streams: Node and Fastify close a session on which nothing happens for
 * a while, and a stream may be quiet.
 */
export function holdSession(session: Http2Session & { timeout?: number }): Http2Session {
  const held = sessions.get(session)
  if (held !== undefined) {
    held.streams++
    return session
  }
  /* c8 ignore next: Fastify gives sessions a timeout; a server of the app's own may give none */
  sessions.set(session, { streams: 1, timeout: session.timeout ?? 0 })
  session.setTimeout(0)
  return session
}

/** Call it once for each `holdSession`. The last call restores the timeout. */
export function releaseSession(session: Http2Session): void {
  const held = sessions.get(session)!
  if (--held.streams > 0) return
  sessions.delete(session)
  if (!session.destroyed) session.setTimeout(held.timeout)
}
