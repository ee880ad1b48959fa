// Errors of Postgres and its driver: which of them are final, and what they mean in words.

/**
 * An error of the driver. Its `code` is Postgres's SQLSTATE, or the system's code.
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
interface DriverError extends Error {
  readonly code?: string
}

/** Errors that a retry does not help against: the server refuses the event. By SQLSTATE, or by its class (two characters). */
const REFUSALS: Record<string, string> = {
  '42501': 'its user may not do this',
  '53100': 'its disk is full',
  '22': 'it does not take what the event holds',
  '54': 'the event is larger than it takes'
}

/** All known errors, in words. */
const REASONS: Record<string, string> = {
  ...REFUSALS,
  '25006': 'it takes no writes: it is a standby, or read-only',
  '28': 'the user or the password is wrong',
  '3D000': 'there is no such database',
  '53300': 'it has as many connections as it takes',
  '55P03': 'another transaction holds the log for too long',
  '57014': 'it has cancelled the statement',
  '57P01': 'it has ended the connection',
  '57P03': 'it is starting, or stopping',
  ECONNREFUSED: 'the connection was refused',
  ENOTFOUND: 'there is no such host',
  ETIMEDOUT: 'it has not answered in time'
}

/** Codes of errors about a missing schema, table, function or column. */
const NO_SCHEMA = ['3F000', '42P01', '42883', '42703']

/** Codes of errors after which the connection can still be used. */
const PASSING = ['40', '55P03', '57014']

/** Why a server cannot be used, for messages. */
export function reasonOf(error: Error): string {
  const reason = lookUp(REASONS, error)
  const { message, code } = error as DriverError
  /* c8 ignore next: an error of the driver without a message */
  if (reason === undefined) return message || code || error.name
  return /^E[A-Z]/.test(code!) ? reason : `${reason}: ${message}`
}

/** Whether the server refuses the event for good, so that a retry does not help. */
export function isRefusal(error: Error): boolean {
  return lookUp(REFUSALS, error) !== undefined
}

/** Whether the connection can still be used after an error. */
export function isPassing(error: Error): boolean {
  const { code = '' } = error as DriverError
  return isRefusal(error) || PASSING.some((known) => code.startsWith(known))
}

/** Whether the schema or a part of it is missing. */
export function isAbsence(error: Error): boolean {
  return NO_SCHEMA.includes((error as DriverError).code ?? '')
}

function lookUp(texts: Record<string, string>, error: Error): string | undefined {
  const { code } = error as DriverError
  if (typeof code !== 'string') return undefined
  return texts[code] ?? (code.length === 5 ? texts[code.slice(0, 2)] : undefined)
}
