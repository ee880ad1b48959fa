// The errors of the client, which `on('error')` and `status.error` give, and what is thrown inside it to end or repeat an attempt.

import type { CloseReason } from './status.js'

/** What has gone wrong. */
export type SseErrorCode =
  /** The server has answered with an error status. */
  | 'status'
  /** The answer is not an event stream. */
  | 'content-type'
  /** Nothing has come for too long. */
  | 'silent'
  /** A schema has refused the data of an event. */
  | 'invalid-data'

/** An error that the client has found itself. What `fetch`, `load` or a callback throws is passed on unchanged. */
export class SseError extends Error {
  override readonly name = 'SseError'
  declare readonly code: SseErrorCode
  /** The response, for `'status'` and `'content-type'`. Its body can still be read if the response has closed the connection. */
  declare readonly response: Response | undefined
  /** Why a Standard Schema has refused the data, for `'invalid-data'`. */
  declare readonly issues: readonly unknown[] | undefined

  constructor(
    code: SseErrorCode,
    message: string,
    { response, issues }: { response?: Response; issues?: readonly unknown[] } = {}
  ) {
    super(message)
    this.code = code
    this.response = response
    this.issues = issues
  }

  /** The status of the response, if there is one. */
  get status(): number | undefined {
    return this.response?.status
  }
}

/** Thrown inside the client, or the reason of an abort: it connects again at once. */
export const AGAIN = Symbol()

/** Thrown inside the client when a connection ends for good. */
export class End {
  declare readonly reason: CloseReason
  declare readonly error: unknown

  constructor(reason: CloseReason, error?: unknown) {
    this.reason = reason
    this.error = error
  }
}
