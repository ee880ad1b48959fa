import { type IncomingMessage, ServerResponse } from 'node:http'
import { type Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import { Socket } from 'node:net'
import type { Chunk } from '../log/chunk.js'

// Requests and responses of HTTP/1 and HTTP/2, and what tells them apart.

export type Request = IncomingMessage | Http2ServerRequest
export type Response = ServerResponse | Http2ServerResponse
export type Headers = Record<string, number | string | string[] | undefined>

export function isHttp1(res: Response): res is ServerResponse {
  return res instanceof ServerResponse
}

export function isHttp2(res: Response): res is Http2ServerResponse {
  return res instanceof Http2ServerResponse
}

/** Whether a request has a body, by its headers (RFC 9112, 6.3). */
export function hasBody({ headers }: Request): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length']) > 0
}

/** Whether what a response writes goes to its socket in chunked coding, and nobody has replaced its methods. */
export function writesToSocket(res: ServerResponse): res is ServerResponse & { socket: Socket } {
  return (
    res.socket instanceof Socket &&
    res.chunkedEncoding &&
    res.write === ServerResponse.prototype.write &&
    res.end === ServerResponse.prototype.end
  )
}

/** Writes a chunk by the response. The two classes differ only in the other parameters of `write`. */
export function write(res: Response, chunk: Chunk): boolean {
  return (res as ServerResponse).write(chunk.plain)
}
