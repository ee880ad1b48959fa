// What can go wrong with a connection, as `on('error')` and `status.error` tell it, and what ends it.

import type { CloseReason } from './status.js'

/** What has gone wrong: an answer's status, an answer that is no stream, silence, data that its schema refuses. */
export type SseErrorCode = 'status' | 'content-type' | 'silent' | 'invalid-data'

/** An error of the client's own. What `fetch`, `load` or a callback throws is told as it is. */
export class SseError extends Error {
  override readonly name = 'SseError'
  declare readonly code: SseErrorCode
  /** The answer, where there is one; its body has not been read if the connection is closed by it. */
  declare readonly response: Response | undefined
  /** What a Standard Schema says of data that it refuses. */
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

  /** The answer's status. */
  get status(): number | undefined {
    return this.response?.status
  }
}

/** Thrown inside the client where a connection ends for good. */
export class End {
  declare readonly reason: CloseReason
  declare readonly error: unknown

  constructor(reason: CloseReason, error?: unknown) {
    this.reason = reason
    this.error = error
  }
}
