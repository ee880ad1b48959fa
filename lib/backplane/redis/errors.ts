/** What is known of an error of a driver. */
interface DriverError extends Error {
  code?: string
  command?: unknown
  /** Of a transaction that was discarded: why. */
  previousErrors?: Error[]
  /** Of a cluster that could not be reached: what the last node said. */
  lastNodeError?: Error
}

/** Errors that say that a server will not have an event, however often it is asked, and what is wrong. */
const REFUSALS: Record<string, string> = {
  OOM: 'its memory is full (maxmemory)',
  READONLY: 'it is a read-only replica',
  WRONGTYPE: 'the key holds something that is no stream',
  NOPERM: 'its user may not do this',
  MISCONF: 'it cannot write to its disk',
  ERR: 'it does not take the command'
}

/** Other errors, in words. */
const REASONS: Record<string, string> = {
  ...REFUSALS,
  WRONGPASS: 'the user name or the password is wrong',
  NOAUTH: 'it asks for a password',
  LOADING: 'it is loading its data',
  CLUSTERDOWN: 'the cluster is down',
  ECONNREFUSED: 'the connection was refused',
  ENOTFOUND: 'there is no such host',
  ETIMEDOUT: 'it has not answered in time'
}

/**
 * What was wrong, without what a driver adds to it: the arguments of the command, which may be a password or an event,
 * and errors that hold each other.
 */
export function bareError(error: unknown): Error {
  const { previousErrors = [], lastNodeError } = error as DriverError
  const bare: DriverError =
    previousErrors.find((previous) => previous !== error) ?? lastNodeError ?? (error as DriverError)
  for (const extra of ['command', 'previousErrors'] as const) delete bare[extra]
  return bare
}

/** Why a server cannot be used. */
export function reasonOf(error: unknown): string {
  const cause = error as DriverError
  const code = codeOf(cause)
  if (code === 'ERR' && /unknown command/i.test(cause.message))
    return 'it knows no streams; Redis 6.2 or later is needed'
  if (/connection is closed/i.test(cause.message)) return 'the connection was lost'
  const reason = REASONS[code]
  /* c8 ignore next: an error of the driver without a message */
  if (reason === undefined) return cause.message || code
  // What Redis says names the command, or the bound.
  return cause.message.startsWith(code) ? `${reason}: ${cause.message}` : reason
}

/** Whether a server will not have an event, however often it is asked. */
export function isRefusal(error: unknown): boolean {
  return Object.hasOwn(REFUSALS, codeOf(error as DriverError))
}

/** A server that takes no writes any more may have been replaced by another, under the same name. */
export function isReadOnly(error: unknown): boolean {
  return codeOf(error as DriverError) === 'READONLY'
}

/** The first word of what Redis says, or what the system calls it. */
function codeOf({ name, code, message }: DriverError): string {
  if (name === 'ReplyError') return message.split(' ', 1)[0]!
  return code ?? ''
}
