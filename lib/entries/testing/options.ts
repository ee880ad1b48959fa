// The options of `listen` and of its waits, and their checks.

import { type Check, fields, MAX_DELAY, object, oneOf, onlyKnown, refuse, whole } from '../../api/input/checks.js'

/** What to request, and how. */
export interface ListenOptions {
  /** Topics to request, as `?topic=`. Default: none. */
  topics?: readonly string[] | undefined
  /** More parameters of the query. Default: none. */
  query?: Readonly<Record<string, string>> | undefined
  /**
   * Headers of the request, for example the login of a user. One that is undefined is not sent. Default: those of an
   * EventSource.
   */
  headers?: Readonly<Record<string, string | readonly string[] | undefined>> | undefined
  /** The id of the event after which to start; `'0'` for the oldest event held. Default: events from now on. */
  lastEventId?: string | undefined
  /** Method of the request, for routes that answer others than GET with a stream. Default: `'GET'`. */
  method?: string | undefined
  /** Body of the request: a string as it is, anything else as JSON. Default: none. */
  body?: unknown
  /**
   * `'inject'`: `app.inject`, without a network. `'socket'`: a connection of its own, over HTTP/2 if the server speaks
   * it; an app that does not listen is made to, on 127.0.0.1. Default: `'socket'` if the app listens, or for a URL;
   * `'inject'` otherwise.
   */
  transport?: 'inject' | 'socket' | undefined
  /** The client's own address, by which `maxClientsPerIp` counts it: over a socket an address of this machine. Default: 127.0.0.1. */
  ip?: string | undefined
  /** The certificate to trust, PEM. Default: that of the app, whatever it is; for a URL those that Node trusts. */
  ca?: string | undefined
  /** How long each wait may take, ms. Default: 4,000, less than any test runner waits for a test. */
  timeout?: number | undefined
  /** Closes the connection when it aborts. Default: none. */
  signal?: AbortSignal | undefined
}

/** Options of one wait. */
export interface WaitOptions {
  /** How long it may take, ms. Default: the `timeout` of `listen`. */
  timeout?: number | undefined
}

export const DEFAULT_TIMEOUT = 4_000

const CHECKS: Record<keyof ListenOptions, Check> = {
  topics: (name, value) => {
    if (!Array.isArray(value) || value.some((topic) => typeof topic !== 'string'))
      refuse(name, value, 'an array of topics')
  },
  query: (name, value) => {
    object(name, value)
    for (const [key, text] of Object.entries(value as object)) string(`${name}.${key}`, text)
  },
  headers: (name, value) => {
    object(name, value, 'an object of headers')
    for (const [key, header] of Object.entries(value as object)) {
      if (header !== undefined && [header].flat().some((one) => typeof one !== 'string'))
        refuse(`${name}.${key}`, header, 'a string or an array of strings')
    }
  },
  lastEventId: string,
  method: (name, value) => {
    if (typeof value !== 'string' || !/^[A-Z]+$/.test(value)) refuse(name, value, "a method such as 'POST'")
  },
  body: () => {},
  transport: oneOf('inject', 'socket'),
  ip: string,
  ca: string,
  timeout: whole(1, MAX_DELAY),
  signal: (name, value) => {
    if (typeof (value as AbortSignal | null)?.aborted !== 'boolean') refuse(name, value, 'an AbortSignal')
  }
}

/** @throws InvalidOptionError that names the option, what it got and what it takes */
export function checkListenOptions(options: ListenOptions): void {
  object('options', options)
  onlyKnown(options, Object.keys(CHECKS))
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined) CHECKS[name as keyof ListenOptions](name, value)
  }
}

/** Returns the time that a wait may take, ms; undefined if the options do not say. @throws InvalidOptionError */
export function timeoutOf(options: WaitOptions): number | undefined {
  object('options', options)
  fields('options', options, { timeout: CHECKS.timeout })
  return options.timeout
}

function string(name: string, value: unknown): void {
  if (typeof value !== 'string') refuse(name, value, 'a string')
}
