import { BackplaneRefusedError, BackplaneUnavailableError } from '../api/errors.js'

/**
 * Says that an engine cannot be reached or used.
 *
 * @param engine its name and address
 * @param cause what its driver gave
 */
export function unavailable(engine: string, reason: string, cause: Error): Error {
  const error = new BackplaneUnavailableError(engine, reason)
  // Loggers add the message of the cause to the error's, which may have said all of it.
  if (reason !== cause.message) error.cause = cause
  return error
}

/** Says that an engine has refused an event, however often it is tried. */
export function refused(engine: string, reason: string, cause: Error): Error {
  const error = new BackplaneRefusedError(engine, reason)
  error.cause = cause
  return error
}
