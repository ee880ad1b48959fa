// The source of a run: iterables, streams, and functions that return them.

import { Readable } from 'node:stream'
import { InvalidOptionError } from '../../api/errors.js'

/** What produces pieces. A string is refused, though it can be iterated over. */
export type Pieces<Piece, Result> = Iterable<Piece, Result> | AsyncIterable<Piece, Result> | ReadableStream<Piece>

/**
 * The source of a run: what produces pieces, or a function that returns it and gets a signal that aborts when the run
 * is stopped.
 */
export type RunSource<Piece = unknown, Result = unknown> =
  | Pieces<Piece, Result>
  | ((context: { signal: AbortSignal }) => Pieces<Piece, Result> | Promise<Pieces<Piece, Result>>)

/**
 * Returns an iterator over the pieces of a source. A stream is destroyed or cancelled when the signal aborts. @throws
 * InvalidOptionError
 */
export async function iterate(
  source: RunSource,
  signal: AbortSignal
): Promise<AsyncIterator<unknown> | Iterator<unknown>> {
  const pieces: unknown = typeof source === 'function' ? await source({ signal }) : source
  if (pieces instanceof ReadableStream) return readerOf(pieces, signal)
  if (typeof pieces === 'object' && pieces !== null) {
    // Otherwise its iterator would wait for a piece that may never come.
    if (pieces instanceof Readable) onAbort(signal, () => pieces.destroy())
    const iterable = pieces as Partial<AsyncIterable<unknown> & Iterable<unknown>>
    const iterator = iterable[Symbol.asyncIterator]?.() ?? iterable[Symbol.iterator]?.()
    if (iterator !== undefined) return iterator
  }
  const got = pieces === null ? 'null' : `a value of type ${typeof pieces}`
  throw new InvalidOptionError('source', got, 'an iterable, a stream, or a function that gives one')
}

function readerOf(stream: ReadableStream, signal: AbortSignal): AsyncIterator<unknown> {
  const reader = stream.getReader()
  const cancel = () => void reader.cancel().catch(() => {})
  onAbort(signal, cancel)
  return {
    next: () => reader.read() as Promise<IteratorResult<unknown>>,
    async return() {
      cancel()
      return { done: true, value: undefined }
    }
  }
}

function onAbort(signal: AbortSignal, callback: () => void): void {
  if (signal.aborted) callback()
  else signal.addEventListener('abort', callback, { once: true })
}
