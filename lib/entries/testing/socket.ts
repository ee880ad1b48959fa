// The transport of the test client over a connection of its own. HTTP/2 on top of it is in http2.ts.

import http from 'node:http'
import net, { type Server, type Socket } from 'node:net'
import tls from 'node:tls'
import type { Connection, Sink, Stream } from './connection.js'
import { deferred } from './deferred.js'
import { openHttp2 } from './http2.js'
import { headerPairs, headersByName, type StreamRequest } from './request.js'
import type { Place } from './target.js'

/** How a socket is opened. */
export interface SocketOptions {
  /** The client's own address. */
  localAddress?: string | undefined
  ca?: string | undefined
}

/** Opens the stream on a connection of its own: over HTTP/2 if the server speaks it, else over HTTP/1.1. */
export function openSocket(place: Place, request: StreamRequest, options: SocketOptions, sink: Sink): Connection {
  const transport = openTransport(place, options)
  const released = releaseBy(place, transport)
  let failure: Error | undefined
  transport.on('error', (error) => {
    failure ??= error
  })
  const socket = place.isTls ? secure(place, transport, options) : transport
  socket.on('error', (error) => {
    failure ??= error
  })
  const gone = deferred()
  let isLeft = false
  transport.once('close', () => {
    socket.destroy()
    // A connection that was closed by the test, or after the end, has not failed.
    sink.hangUp(isLeft ? undefined : (failure ?? new Error('closed by the server')))
    gone.resolve()
  })

  let stream: Stream | undefined
  const leave = (error?: Error) => {
    failure ??= error
    if (error === undefined) isLeft = true
    transport.destroy()
  }
  const begin = (isHttp2: boolean) => {
    try {
      stream = (isHttp2 ? openHttp2 : openHttp1)(socket, place, request, sink, leave)
    } catch (error) {
      // For example a header that Node refuses.
      leave(error as Error)
    }
  }
  if (place.isTls) {
    ;(socket as tls.TLSSocket).once('secureConnect', () => begin((socket as tls.TLSSocket).alpnProtocol === 'h2'))
  } else begin(place.isH2c)

  return {
    pause() {
      stream?.pause()
    },
    resume() {
      stream?.resume()
    },
    close() {
      isLeft = true
      stream?.close()
      transport.destroy()
    },
    cut() {
      isLeft = true
      // A unix socket has no reset.
      if (place.socketPath === undefined) transport.resetAndDestroy()
      else transport.destroy()
    },
    released: Promise.all([gone.promise, released]).then(() => {})
  }
}

function openTransport({ host, port, socketPath }: Place, { localAddress }: SocketOptions): Socket {
  if (socketPath !== undefined) return net.connect({ path: socketPath })
  return net.connect({ host, port: port!, ...(localAddress !== undefined && { localAddress }) })
}

function secure(place: Place, socket: Socket, { ca }: SocketOptions): tls.TLSSocket {
  // A name, not an address: the certificate of a server under test usually is for localhost.
  const servername = net.isIP(place.host) ? 'localhost' : place.host
  return tls.connect({
    socket,
    ALPNProtocols: ['h2', 'http/1.1'],
    servername,
    ...(ca !== undefined && { ca }),
    // The app of the test is in this process, so its identity is known.
    rejectUnauthorized: ca !== undefined || place.server === undefined
  })
}

/** The server's ends of its connections, by the port of the client. */
const peersOf = new WeakMap<Server, Map<number | undefined, Socket>>()

/** Resolves when the server's own end of the connection is closed, if the server is in this process. */
function releaseBy({ server, socketPath }: Place, transport: Socket): Promise<void> | undefined {
  if (server === undefined || socketPath !== undefined) return undefined
  const peers = peersOf.get(server) ?? watchPeers(server)
  let port: number | undefined
  transport.once('connect', () => {
    port = transport.localPort
  })
  return new Promise((resolve) => {
    transport.once('close', () => {
      const peer = peers.get(port)
      if (peer === undefined) resolve()
      else peer.once('close', () => resolve())
    })
  })
}

function watchPeers(server: Server): Map<number | undefined, Socket> {
  const peers = new Map<number | undefined, Socket>()
  peersOf.set(server, peers)
  const onConnection = (socket: Socket) => {
    const port = socket.remotePort
    peers.set(port, socket)
    socket.once('close', () => peers.delete(port))
  }
  server.on('connection', onConnection)
  server.once('close', () => {
    server.off('connection', onConnection)
    peersOf.delete(server)
  })
  return peers
}

function openHttp1(
  socket: Socket,
  place: Place,
  request: StreamRequest,
  sink: Sink,
  leave: (error?: Error) => void
): Stream {
  const outgoing = http.request({
    createConnection: () => socket,
    method: request.method,
    path: request.path,
    headers: { host: place.authority, connection: 'keep-alive', ...headersByName(request.headers) }
  })
  outgoing.on('response', (response) => {
    sink.receiveHead({ status: response.statusCode!, rawHeaders: headerPairs(response.rawHeaders) })
    response
      .on('data', (bytes: Buffer) => sink.receive(bytes))
      .on('end', () => {
        sink.finish()
        leave()
      })
      .on('error', leave)
  })
  outgoing.on('error', leave)
  outgoing.end(request.body)
  return {
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    close: () => {}
  }
}
