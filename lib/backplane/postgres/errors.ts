/** What is known of an error of the driver: `code` is what Postgres calls it (appendix A of its manual), or the system. */
interface DriverError extends Error {
  readonly code?: string
}

/** What says that the server will not have an event, however often it is asked, and why. By code, or by class of codes. */
const REFUSALS: Record<string, string> = {
  '42501': 'its user may not do this',
  '53100': 'its disk is full',
  '22': 'it does not take what the event holds',
  '54': 'the event is larger than it takes'
}

/** Other errors, in words. */
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

/** What says that the schema is not there. */
const NO_SCHEMA = ['3F000', '42P01', '42883', '42703']

/** What says nothing against the connection that it came by. */
const PASSING = ['40', '55P03', '57014']

/** Why a server cannot be used. */
export function reasonOf(error: Error): string {
  const reason = lookUp(REASONS, error)
  const { message, code } = error as DriverError
  /* c8 ignore next: an error of the driver without a message */
  if (reason === undefined) return message || code || error.name
  return /^E[A-Z]/.test(code!) ? reason : `${reason}: ${message}`
}

/** Whether the server will not have an event, however often it is asked. */
export function isRefusal(error: Error): boolean {
  return lookUp(REFUSALS, error) !== undefined
}

/** Whether the connection can be used on after an error. */
export function isPassing(error: Error): boolean {
  const { code = '' } = error as DriverError
  return isRefusal(error) || PASSING.some((known) => code.startsWith(known))
}

/** Whether the schema is missing, or parts of it. */
export function isAbsence(error: Error): boolean {
  return NO_SCHEMA.includes((error as DriverError).code ?? '')
}

function lookUp(texts: Record<string, string>, error: Error): string | undefined {
  const { code } = error as DriverError
  if (typeof code !== 'string') return undefined
  return texts[code] ?? (code.length === 5 ? texts[code.slice(0, 2)] : undefined)
}
