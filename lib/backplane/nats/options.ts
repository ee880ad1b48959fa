// Options of `jetStream`, and their checks.

import type { NatsConnection } from '@nats-io/transport-node'
import { InvalidOptionError } from '../../api/errors.js'
import { onlyKnown, refuse, whole } from '../../api/input/checks.js'
import { oneEngine } from '../engine-setup.js'
import { LIMITS, type LimitOptions } from '../limits.js'
import type { ConnectOptions } from './link.js'

type OptionalConnecting = { [Name in keyof ConnectOptions]?: ConnectOptions[Name] | undefined }

/** Options of `jetStream`. */
export interface JetStreamOptions extends LimitOptions, OptionalConnecting {
  /**
   * A connection that the app owns. It is left open when the app closes. Connect it with `maxReconnectAttempts: -1`: one
   * that NATS has closed, by default after 10 attempts, cannot be replaced, and `app.sse.ready` is false from then on.
   */
  connection?: NatsConnection | undefined
  /**
   * Instead of a connection: `'nats://localhost:4222'`, or several servers of one cluster. Needs the package
   * @nats-io/transport-node. `user`, `pass`, `token`, `authenticator` and `tls` are as its `connect` takes them.
   */
  servers?: string | string[] | undefined
  /**
   * Name of the stream. It is created where there is none. Of one that is there, `retention` must be `limits`, `discard`
   * `old`, and there must be a bound; how large it is matters not here. Default: `'PYLON_SSE'`.
   */
  stream?: string | undefined
  /** Subject of the stream. All processes that share both hear each other. Default: `'pylon-sse.events'`. */
  subject?: string | undefined
  /**
   * Messages that the stream keeps, where it is created here. One holds what a process published while the one before
   * was on its way, up to 500 events. Default: 100,000. Past it the oldest are dropped: a process that was away for
   * longer sends its clients a `resync`.
   */
  maxMessages?: number | undefined
  /** Bytes that the stream keeps, where it is created here. Default: 256 MiB. Past it as with `maxMessages`. */
  maxBytes?: number | undefined
  /** Servers of the cluster that keep the stream, where it is created here: 1, 3 or 5. Default: 1. */
  replicas?: number | undefined
}

/** The options of `jetStream`, as they are used. */
export interface CheckedOptions {
  connection: NatsConnection | undefined
  stream: string
  subject: string
  maxMessages: number
  maxBytes: number
  replicas: number | undefined
  connecting: ConnectOptions
  limits: LimitOptions
}

const CONNECTING = ['servers', 'user', 'pass', 'token', 'authenticator', 'tls', 'inboxPrefix']
const OPTIONS = ['connection', 'stream', 'subject', 'maxMessages', 'maxBytes', 'replicas', ...CONNECTING, ...LIMITS]

/** @throws InvalidOptionError */
export function checkOptions(options: JetStreamOptions): CheckedOptions {
  const { connection, stream = 'PYLON_SSE', subject = 'pylon-sse.events', replicas, ...others } = options
  const { maxMessages = 100_000, maxBytes = 256 * 1024 * 1024, ...rest } = others
  oneEngine({ connection, servers: rest.servers })
  if (connection !== undefined && typeof connection.status !== 'function')
    throw new InvalidOptionError(
      'backplane.connection',
      'something else',
      'a NatsConnection of @nats-io/transport-node'
    )
  // It is not shown: it may have a password.
  if (rest.servers !== undefined && ![rest.servers].flat().every(isServer))
    throw new InvalidOptionError('backplane.servers', 'something else', 'addresses such as nats://localhost:4222')
  if (typeof stream !== 'string' || !/^[^\s.*>/\\]+$/.test(stream))
    refuse('backplane.stream', stream, 'a name without white space, dots, slashes, * and >')
  if (typeof subject !== 'string' || !/^[^\s.*>]+(\.[^\s.*>]+)*$/.test(subject))
    refuse('backplane.subject', subject, 'a subject without wildcards')
  for (const [name, value] of Object.entries({ maxMessages, maxBytes, replicas: replicas ?? 1 }))
    whole(1)(`backplane.${name}`, value)
  const given = Object.entries(rest).filter(([, value]) => value !== undefined)
  const pick = (names: readonly string[]) => Object.fromEntries(given.filter(([name]) => names.includes(name)))
  onlyKnown(Object.fromEntries(given), OPTIONS, 'backplane.')
  for (const [name] of given) {
    if (CONNECTING.includes(name) && connection !== undefined)
      throw new InvalidOptionError(
        `backplane.${name}`,
        "goes with 'servers', not with a connection that the app has made"
      )
  }
  return {
    connection,
    stream,
    subject,
    maxMessages,
    maxBytes,
    replicas,
    connecting: pick(CONNECTING),
    limits: pick(LIMITS)
  }
}

/** The driver knows no user name in an address. */
function isServer(server: unknown): boolean {
  return typeof server === 'string' && server !== '' && !/[\s@]/.test(server)
}
