// The error for an engine that cannot be reached or used.

import { BackplaneRefusedError, BackplaneUnavailableError } from '../api/errors.js'

/**
 * Returns the error for an engine that cannot be reached or used.
 *
 * @param engine its name and address
 * @param cause the error of its driver
 */
export function unavailable(engine: string, reason: string, cause: Error): Error {
  const error = new BackplaneUnavailableError(engine, reason)
  // Loggers append the message of the cause, which would only repeat the error's own.
  if (reason !== cause.message) error.cause = cause
  return error
}

/** Returns the error for an event that an engine has refused and would refuse again. */
export function refused(engine: string, reason: string, cause: Error): Error {
  const error = new BackplaneRefusedError(engine, reason)
  error.cause = cause
  return error
}
