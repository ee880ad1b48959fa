// Types for the requests and responses of HTTP/1 and HTTP/2, and how to tell them apart.

import { AsyncResource } from 'node:async_hooks'
import { type IncomingMessage, ServerResponse } from 'node:http'
import { type Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import { Socket } from 'node:net'
import type { Chunk } from '../log/chunk.js'

export type Request = IncomingMessage | Http2ServerRequest
export type Response = ServerResponse | Http2ServerResponse
export type Headers = Record<string, number | string | string[] | undefined>

export function isHttp1(res: Response): res is ServerResponse {
  return res instanceof ServerResponse
}

export function isHttp2(res: Response): res is Http2ServerResponse {
  return res instanceof Http2ServerResponse
}

/**
 * Whether a response writes to its socket in chunked transfer coding, by Node's own methods, which nobody has replaced.
 */
export function writesToSocket(res: ServerResponse): res is ServerResponse & { socket: Socket } {
  return (
    res.socket instanceof Socket &&
    res.chunkedEncoding &&
    res.write === ServerResponse.prototype.write &&
    res.end === ServerResponse.prototype.end
  )
}

/**
 * Calls back once it is the turn of a response that waits for earlier ones on a pipelined connection (HTTP/1.1).
 * Node flushes after 'socket', so the callback waits a turn of the event loop.
 */
export function onTurn(res: ServerResponse, callback: () => void): void {
  // The event is emitted in the async context of the earlier request.
  const later = AsyncResource.bind(callback)
  res.once('socket', () => setImmediate(later))
}

/** Writes a chunk through the response. The two classes differ only in the other parameters of `write`. */
export function write(res: Response, chunk: Chunk): boolean {
  return (res as ServerResponse).write(chunk.plain)
}

/**
 * Sends the headers of a stream over HTTP/1, and removes the timeout of the socket: a stream may be silent for long.
 *
 * @returns the timeout that the socket had, ms
 */
export function writeHttp1Headers(req: Request, res: ServerResponse, headers: Headers): number {
  const socket = res.socket as Partial<Socket>
  const timeout = socket.timeout ?? 0
  socket.setTimeout?.(0)
  // An unread body would keep Node from reading the connection, and from noticing that the client leaves.
  if (hasBody(req)) req.resume()
  const isPersistent = req.httpVersion === '1.1' && res.shouldKeepAlive
  res.writeHead(200, isPersistent ? { connection: 'keep-alive', ...headers } : headers)
  return timeout
}

/** Whether a request has a body, by its headers (RFC 9112, 6.3). */
function hasBody({ headers }: Request): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length']) > 0
}
