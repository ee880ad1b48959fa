import type { Head } from './stream-reader.js'

/** What a transport feeds. */
export interface Sink {
  receiveHead(head: Head): void
  receive(bytes: Uint8Array): void
  /** The body came to its proper end. */
  finish(): void
  /** The connection is gone, and what broke it, if anything has. */
  hangUp(error?: Error): void
}

/** A connection that carries one stream. */
export interface Connection {
  /** Stops reading, so that the server sees backpressure. */
  pause(): void
  resume(): void
  /** As when a tab is closed. */
  close(): void
  /** As when the client's machine is switched off, or its network is cut: by a reset. */
  cut(): void
  /** Resolves when the server, too, knows that it is gone, as far as can be told. */
  readonly released: Promise<void>
}

/** The stream on a connection, which a transport opens. */
export type Stream = Pick<Connection, 'pause' | 'resume' | 'close'>
