// How requests for the stream are answered while the app closes, when Fastify runs neither hooks nor routes. Requests
// that came before that are answered by rejection.ts.

import type { ResolvedOptions } from '../api/options.js'
import type { Hub } from '../hub/hub.js'
import { encodeRetry } from '../log/encode.js'
import type { Answer, ConnectionDeadlines } from '../wire/connection-deadlines.js'
import { isHttp2 } from '../wire/response.js'
import { STREAM_HEAD, takesRetry } from '../wire/stream-request.js'
import type { StreamPaths } from './stream-paths.js'

/**
 * Returns what answers requests for the stream while the app closes: with 200, a reconnection time, and the end.
 * Fastify would answer them with 503 before any hook or route runs, and a browser's EventSource then gives up for good.
 * Since no hook runs, requests that depend on one are left to Fastify.
 *
 * @param path the whole path of the stream, if the plugin has a route of its own
 * @param appPaths the routes of the app that answer with streams
 */
export function closingAnswer(
  path: string | undefined,
  appPaths: StreamPaths,
  hub: Hub,
  connections: ConnectionDeadlines,
  { route, cors, overLimit }: ResolvedOptions
): Answer {
  const isPlain = path !== undefined && route.constraints === undefined && !/[:*]/.test(path)
  // A page of another origin may read the answer only if the CORS policy needs no hook.
  const isOpen = typeof cors === 'object' && cors.origin === '*'
  return (req, res) => {
    const { method, url, headers } = req
    const asked = url!.split('?', 1)[0]!
    const isOwn = isPlain && asked === path
    if (method !== 'GET' || (!isOwn && !appPaths.has(asked))) return false
    const isForAll = isOwn && isOpen
    if (!takesRetry(headers, overLimit)) return false
    if (headers.origin !== undefined && !isForAll) return false
    hub.reject('closing')
    connections.carry(req, res)
    const head = isForAll ? { ...STREAM_HEAD, 'access-control-allow-origin': '*' } : STREAM_HEAD
    const retry = encodeRetry(hub.clients.retryWithJitter())
    if (isHttp2(res)) {
      res.stream?.session?.close()
      res.writeHead(200, head).end(retry)
    } else {
      res.writeHead(200, { ...head, connection: 'close' }).end(retry)
    }
    return true
  }
}
