// Errors of Redis and its driver: which of them are final, and what they mean in words.

/** The fields that errors of a driver may have. */
interface DriverError extends Error {
  code?: string
  command?: unknown
  /** Why a transaction was discarded. */
  previousErrors?: Error[]
  /** What the last node said when a cluster could not be reached. */
  lastNodeError?: Error
}

/** Errors that a retry does not help against: the server refuses the event. By the first word of the message. */
const REFUSALS: Record<string, string> = {
  OOM: 'its memory is full (maxmemory)',
  READONLY: 'it is a read-only replica',
  WRONGTYPE: 'the key holds something that is no stream',
  NOPERM: 'its user may not do this',
  MISCONF: 'it cannot write to its disk',
  ERR: 'it does not take the command'
}

/** All known errors, in words, by the first word of Redis's message or by the system's code. */
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
 * The cause of an error, without what the driver attaches to it: the arguments of the command, which may contain a password or
 * an event, and references to other errors, which can be circular.
 */
export function bareError(error: unknown): Error {
  const { previousErrors = [], lastNodeError } = error as DriverError
  const bare: DriverError =
    previousErrors.find((previous) => previous !== error) ?? lastNodeError ?? (error as DriverError)
  for (const extra of ['command', 'previousErrors'] as const) delete bare[extra]
  return bare
}

/** Why a server cannot be used, for messages. */
export function reasonOf(error: unknown): string {
  const cause = error as DriverError
  const code = codeOf(cause)
  if (code === 'ERR' && /unknown command/i.test(cause.message))
    return 'it knows no streams; Redis 6.2 or later is needed'
  if (/connection is closed/i.test(cause.message)) return 'the connection was lost'
  const reason = REASONS[code]
  /* c8 ignore next: an error of the driver without a message */
  if (reason === undefined) return cause.message || code
  // Redis's own message has details, such as the command or the limit.
  return cause.message.startsWith(code) ? `${reason}: ${cause.message}` : reason
}

/** Whether the server refuses the event for good, so that a retry does not help. */
export function isRefusal(error: unknown): boolean {
  return Object.hasOwn(REFUSALS, codeOf(error as DriverError))
}

/** Whether the server is a read-only replica. After a failover the same address may lead to the new master. */
export function isReadOnly(error: unknown): boolean {
  return codeOf(error as DriverError) === 'READONLY'
}

/** The first word of Redis's message, or the system's code, such as `ECONNREFUSED`. */
function codeOf({ name, code, message }: DriverError): string {
  if (name === 'ReplyError') return message.split(' ', 1)[0]!
  return code ?? ''
}
