// What the errors of NATS and its driver mean, and which of them are refusals.

/** An error of the driver, as far as it is used here. */
interface DriverError extends Error {
  /** The number of the error, if JetStream has answered with one. */
  code?: number | string
  operation?: string
  subject?: string
}

/** Reasons for which JetStream refuses a message however often it is sent, by number. */
const REFUSALS: Record<number, string> = {
  10023: 'its memory or its disk is full',
  10047: 'its storage is full',
  10054: "it is larger than the stream's messages may be",
  10060: 'the subject is that of another stream',
  10077: 'the stream does not store it',
  10109: 'the stream is sealed'
}

const REASONS: Record<string, string> = {
  AuthorizationError: 'the user name, the password or the token is wrong or missing',
  UserAuthenticationExpiredError: 'the authentication has expired',
  ClosedConnectionError: 'the connection is closed',
  DrainingConnectionError: 'the connection is closing',
  TimeoutError: 'it has not answered in time',
  JetStreamNotEnabled:
    'it has no JetStream; nats-server needs -js, or `jetstream` in its configuration, and the account the right to it'
}

/** Says why a server cannot be used. */
export function reasonOf(error: unknown): string {
  const { name, message, code, cause, operation, subject } = error as DriverError
  if (name === 'PermissionViolationError') return `its user has not the right to ${operation} ${subject}`
  const inner = cause as DriverError | undefined
  if (inner?.name === 'PermissionViolationError') return reasonOf(inner)
  if (typeof code === 'number' && code in REFUSALS) return `${REFUSALS[code]}: ${message}`
  const reason = REASONS[name]
  if (reason !== undefined) return reason
  if (/ECONNREFUSED|connection refused/i.test(`${code} ${message}`)) return 'the connection was refused'
  if (/ENOTFOUND|EAI_AGAIN/.test(`${code} ${message}`)) return 'there is no such host'
  /* c8 ignore next: an error of the driver without a message */
  return message || name
}

/** Whether the server will refuse a message however often it is sent. */
export function isRefusal(error: unknown): boolean {
  const { name, code, cause } = error as DriverError
  /* c8 ignore next 2: the driver wraps some errors in others, and some not */
  if (name === 'PermissionViolationError' || (cause as DriverError)?.name === 'PermissionViolationError') return true
  return typeof code === 'number' && code in REFUSALS
}

/** Whether no stream takes the subject, or the server has no JetStream. */
export function isAbsence(error: unknown): boolean {
  return (error as Error).name === 'JetStreamNotEnabled'
}
