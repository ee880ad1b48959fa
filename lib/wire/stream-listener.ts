// The callbacks by which a stream reaches its client. Nothing else in wire/ knows of clients.

/** Callbacks of a stream to its client. */
export interface StreamListener {
  /** The stream takes bytes again after a `write` that returned false. */
  onDrain(): void
  /** The stream has finished what it was busy with (`isBusy`), and the socket is full. */
  onFull(): void
  /** The response throws: a plugin has replaced parts of it, or has set what cannot be written. `onClose` follows. */
  onFail(error: unknown): void
  /** The stream is over, whoever ended it. Called once, also for streams that were never opened. */
  onClose(): void
}
