// The test client's stream over HTTP/2. The connection itself is opened in socket.ts.

import http2 from 'node:http2'
import type { Socket } from 'node:net'
import type { Sink, Stream } from './connection.js'
import { headerPairs, headersByName, type StreamRequest } from './request.js'
import type { Place } from './target.js'

/** Opens the stream over HTTP/2, on a socket that is connected or about to be. `leave` closes the connection. */
export function openHttp2(
  socket: Socket,
  place: Place,
  request: StreamRequest,
  sink: Sink,
  leave: (error?: Error) => void
): Stream {
  const session = http2.connect(`http${place.isTls ? 's' : ''}://${place.authority}`, {
    createConnection: () => socket
  })
  session.on('error', leave)
  const stream = session.request(
    { ':method': request.method, ':path': request.path, ...headersByName(request.headers) },
    { endStream: request.body === undefined }
  )
  if (request.body !== undefined) stream.end(request.body)
  stream
    .on('response', (...[, , raw]: unknown[]) => sink.receiveHead(headOf(raw as string[])))
    .on('data', (bytes: Buffer) => sink.receive(bytes))
    .on('end', () => {
      // Otherwise the stream was reset.
      if (stream.rstCode === http2.constants.NGHTTP2_NO_ERROR) sink.finish()
    })
    .on('error', leave)
    .on('close', () => session.close(() => leave()))
  return {
    pause: () => stream.pause(),
    resume: () => stream.resume(),
    close: () => stream.close(http2.constants.NGHTTP2_CANCEL)
  }
}

function headOf(raw: string[]): { status: number; rawHeaders: [string, string][] } {
  const pairs = headerPairs(raw)
  return {
    status: Number(pairs.find(([name]) => name === ':status')?.[1]),
    rawHeaders: pairs.filter(([name]) => !name.startsWith(':'))
  }
}
