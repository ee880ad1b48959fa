// How responses end: with an error, by a cut, because the client has left or the app closes; and callbacks for the end.
// A proper end is in stream.ts.

import { ServerResponse } from 'node:http'
import { constants } from 'node:http2'
import { Socket } from 'node:net'
import { offConnectionClose, onConnectionClose } from './connection-close.js'
import { type Headers, isHttp2, type Request, type Response } from './response.js'

/** The body of the answer if the head of a stream cannot be written. */
const FAILED = {
  statusCode: 500,
  code: 'PYLON_SSE_ERR_HEAD',
  error: 'Internal Server Error',
  message: 'The head of the event stream could not be written.'
}

/**
 * Answers 500, without the headers set on the response, by the methods of the response's class: the response's own may be
 * replaced and throw. @returns false if the head is out already
 */
export function answerFailed(res: Response): boolean {
  const { writeHead, end, removeHeader } = Object.getPrototypeOf(res) as ServerResponse
  const own = res as ServerResponse
  if (isHttp2(res) ? res.stream.headersSent : Reflect.get(ServerResponse.prototype, 'headersSent', res)) return false
  for (const name of own.getHeaderNames()) removeHeader.call(own, name)
  if (!isHttp2(res)) own.statusMessage = ''
  const headers = { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' }
  writeHead.call(own, FAILED.statusCode, isHttp2(res) ? headers : { ...headers, connection: 'close' })
  ;(end as (body: string) => void).call(own, JSON.stringify(FAILED))
  return true
}

/** Answers a response without a head because the app closes: with one block, uncompressed, or else with 503. */
export function answerClosing(res: ServerResponse, headers: Headers, block: string | undefined): void {
  const { 'content-encoding': _, ...plain } = headers
  if (block === undefined) res.writeHead(503, { connection: 'close' }).end()
  else res.writeHead(200, { ...plain, connection: 'close' }).end(block)
}

/** Whether the client of a response has gone already, so that no event will tell of it. */
export function isGone(req: Request, res: Response): boolean {
  if (isHttp2(res)) return res.stream === undefined || res.stream.destroyed || res.stream.closed
  return res.destroyed || req.socket?.destroyed === true
}

/** Cuts a response: over HTTP/1 with its connection, over HTTP/2 only its stream. */
export function cut(req: Request, res: Response): void {
  if (isHttp2(res)) {
    // By default Node sends NO_ERROR, and the client would take the stream for complete.
    res.stream?.close(constants.NGHTTP2_CANCEL)
    res.stream?.destroy()
  } else {
    res.destroy()
    req.socket?.destroy()
  }
}

/** Calls back once, when a response is finished or its client has gone. @returns a function that cancels this */
export function untilGone(req: Request, res: Response, callback: () => void): () => void {
  const gone = (): void => {
    forget()
    callback()
  }
  const forget = (): void => {
    res.off('close', gone)
    res.off('finish', gone)
    offConnectionClose(req.socket, gone)
  }
  res.once('close', gone)
  res.once('finish', gone)
  onConnectionClose(req.socket, gone)
  return forget
}

/**
 * Makes a response emit 'finish' after its client has left. On HTTP/1 such a response emits only 'close' (on HTTP/2 both), and
 * Fastify runs `onResponse` only on 'finish'. Nearly every stream ends because its client leaves.
 */
export function finish(res: ServerResponse): void {
  if (res.writableFinished || !(res.socket instanceof Socket)) return
  let finished = false
  res.once('finish', () => {
    finished = true
  })
  try {
    res.end()
  } catch {
    // The client has gone, so there is nothing left to end.
  }
  // Without chunked coding `end` finishes by itself.
  setImmediate(() => {
    if (!finished) res.emit('finish')
  })
}
