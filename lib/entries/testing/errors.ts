// The errors that waits of the test client reject with. Each message says what was awaited and what has come.

/** What was awaited has not come in time, or can no longer come. */
export class NotReceivedError extends Error {
  override readonly name = 'NotReceivedError'
  readonly code = 'PYLON_SSE_ERR_NOT_RECEIVED'
}

/** An event has come, although none was expected. */
export class UnexpectedEventError extends Error {
  override readonly name = 'UnexpectedEventError'
  readonly code = 'PYLON_SSE_ERR_UNEXPECTED_EVENT'
}

/**
 * What has come is not an event stream: for example bytes that are not UTF-8, or not gzip. Every wait rejects with it
 * from then on.
 */
export class BrokenStreamError extends Error {
  override readonly name = 'BrokenStreamError'
  readonly code = 'PYLON_SSE_ERR_BROKEN_STREAM'
}
