// What a wait rejects with. Each message says what was awaited and what came.

/** What was awaited has not come in time, or can come no more. */
export class NotReceivedError extends Error {
  override readonly name = 'NotReceivedError'
  readonly code = 'PYLON_SSE_ERR_NOT_RECEIVED'
}

/** An event came where none was to come. */
export class UnexpectedEventError extends Error {
  override readonly name = 'UnexpectedEventError'
  readonly code = 'PYLON_SSE_ERR_UNEXPECTED_EVENT'
}

/** What came is no event stream: bytes that are not UTF-8, say, or not gzip. Every wait rejects with it from then on. */
export class BrokenStreamError extends Error {
  override readonly name = 'BrokenStreamError'
  readonly code = 'PYLON_SSE_ERR_BROKEN_STREAM'
}
