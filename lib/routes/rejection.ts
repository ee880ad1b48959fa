// Answers to requests over a limit, and to requests that arrive while the app closes.

import type { Http2ServerResponse } from 'node:http2'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { ClosingError, ServerFullError, TooManyClientsError } from '../api/errors.js'
import type { ResolvedOptions } from '../api/options.js'
import type { Hub } from '../hub/hub.js'
import { encodeRetry } from '../log/encode.js'
import { STREAM_HEAD, takesRetry } from '../wire/stream-request.js'
import type { OverLimit } from './admission.js'

/** Sets the response headers for a request that cannot be served now. @returns what to send */
export function rejection(
  hub: Hub,
  reason: OverLimit | 'closing',
  { overLimit, maxClientsPerIp }: ResolvedOptions,
  request: FastifyRequest,
  reply: FastifyReply
): string | Error {
  hub.reject(reason)
  // A connection that is kept alive would keep the server from closing.
  if (reason === 'closing') leaveConnection(request, reply)
  const retry = hub.clients.retryWithJitter()
  if (request.method === 'GET' && takesRetry(request.headers, overLimit)) {
    reply.code(200).headers(STREAM_HEAD).removeHeader('content-length')
    return encodeRetry(retry)
  }
  reply.header('retry-after', Math.ceil(retry / 1000))
  if (reason === 'closing') return new ClosingError()
  return reason === 'serverFull' ? new ServerFullError() : new TooManyClientsError(maxClientsPerIp)
}

/** Closes the connection with this response. */
export function leaveConnection(request: FastifyRequest, reply: FastifyReply): void {
  if (request.raw.httpVersionMajor === 1) reply.header('connection', 'close')
  else (reply.raw as unknown as Http2ServerResponse).stream?.session?.close()
}
