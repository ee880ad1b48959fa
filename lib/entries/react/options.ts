// Options of hooks: what of them makes another connection, and what may change while there is one.

import type { Address, SseOptions } from '../client/client.js'

// biome-ignore lint/suspicious/noExplicitAny: the types of the app's events and state are those of what it gets
export type AnyOptions = Omit<SseOptions<any, any>, 'signal'>

/** What the last render has given. */
export interface Latest {
  readonly url: Address | null
  readonly options: AnyOptions
  /** Sorted, each once. */
  readonly topics: readonly string[]
}

/** Options that say nothing of a connection that is there: topics can be changed, the others are taken when it connects. */
const CHANGEABLE = new Set(['topics', 'lastEventId', 'storage', 'schemas'])

/** A text that differs where another connection is needed. Of functions and objects only their presence counts. */
export function keyOf(url: Address | null, options: AnyOptions): string {
  const fields = Object.entries(options)
    .filter(([name, value]) => value !== undefined && !CHANGEABLE.has(name))
    .map(([name, value]) => [name, typeof value === 'object' || typeof value === 'function' ? 'given' : value])
    .sort()
  return JSON.stringify([typeof url === 'function' ? ['function'] : url && String(url), fields])
}

export function topicsOf({ topics = [] }: AnyOptions): string[] {
  return [...new Set(topics)].sort()
}

type Call = (...args: unknown[]) => unknown

/** Options for `connect` whose functions and headers are those of the last render at any time. */
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
