// The options of hooks: which of them need another connection when they change, and which do not.

import type { Address, SseOptions } from '../client/client.js'

// biome-ignore lint/suspicious/noExplicitAny: the types of the app's events and state are known to the caller
export type AnyOptions = Omit<SseOptions<any, any>, 'signal'>

/** URL, options and topics of the last render. */
export interface Latest {
  readonly url: Address | null
  readonly options: AnyOptions
  /** Sorted, each once. */
  readonly topics: readonly string[]
}

/**
 * Options that need no other connection: topics can be changed while it is open, and the others are used when it
 * connects.
 */
const CHANGEABLE = new Set(['topics', 'lastEventId', 'storage', 'schemas'])

/** Returns a text that differs if another connection is needed. Of functions and objects only their presence counts. */
export function keyOf(url: Address | null, options: AnyOptions): string {
  const fields = Object.entries(options)
    .filter(([name, value]) => value !== undefined && !CHANGEABLE.has(name))
    .map(([name, value]) => [name, typeof value === 'object' || typeof value === 'function' ? 'given' : value])
    .sort()
  return JSON.stringify([typeof url === 'function' ? ['function'] : url && String(url), fields])
}

/** @throws TypeError for a text, whose letters would be taken for topics */
export function topicsOf({ topics = [] }: AnyOptions): string[] {
  if (typeof topics === 'string') throw new TypeError(`The option 'topics' takes object, but got string: ${topics}`)
  return [...new Set(topics)].sort()
}

type Call = (...args: unknown[]) => unknown

/** Returns options for `connect` whose functions and headers are always those of the last render. */
export function connectOptions(latest: () => Latest): AnyOptions {
  const { options, topics } = latest()
  const given: Record<string, unknown> = { ...options, topics }
  for (const [name, value] of Object.entries(options)) {
    if (typeof value !== 'function') continue
    given[name] = (...args: unknown[]) => (latest().options as Record<string, Call>)[name]!(...args)
  }
  if (options.headers !== undefined) {
    given.headers = () => {
      const { headers } = latest().options
      return typeof headers === 'function' ? headers() : headers
    }
  }
  return given
}
