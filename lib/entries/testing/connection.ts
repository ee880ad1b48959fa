// What a transport of the test client is. The transports are socket.ts (with http2.ts) and inject.ts.

import type { Head } from './stream-reader.js'

/** Where a transport puts what it receives. */
export interface Sink {
  receiveHead(head: Head): void
  receive(bytes: Uint8Array): void
  /** The body has ended properly. */
  finish(): void
  /** The connection is gone. `error` is what broke it, if anything has. */
  hangUp(error?: Error): void
}

/** A connection that carries one stream. */
export interface Connection {
  /** Stops reading, so that the server sees backpressure. */
  pause(): void
  resume(): void
  /** Closes the connection, as a browser does when a tab is closed. */
  close(): void
  /** Resets the connection, as when the client's machine is switched off, or its network is cut. */
  cut(): void
  /** Resolves when the server, too, has noticed that the connection is gone, if that can be told. */
  readonly released: Promise<void>
}

/** The stream that a transport has opened on a connection. */
export type Stream = Pick<Connection, 'pause' | 'resume' | 'close'>
