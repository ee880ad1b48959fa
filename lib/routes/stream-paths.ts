// The routes of the app that answer with streams, as far as they can be recognised by path alone.

import type { FastifyRequest } from 'fastify'

/** Maximum number of routes remembered. */
const MAX_PATHS = 1000
/**
 * Matches routes that are more than plain words and `:name` segments (patterns, wildcards, several parameters in a segment),
 * which are not remembered.
 */
const BEYOND = /[()*?]|:[^/]*[-:.]/

/**
 * Remembers the routes of the app that have answered with streams, to recognise requests for them when no route runs.
 */
export class StreamPaths {
  readonly #seen = new Set<string>()
  readonly #patterns: RegExp[] = []

  /** Remembers the route of a request for a stream. */
  note({ routeOptions: { url } }: FastifyRequest): void {
    if (url === undefined || this.#seen.has(url) || this.#seen.size >= MAX_PATHS) return
    this.#seen.add(url)
    if (BEYOND.test(url)) return
    const words = url
      .split('/')
      .map((word) => (word.startsWith(':') ? '[^/]+' : word.replace(/[.+^$|[\]{}\\]/g, '\\$&')))
    this.#patterns.push(new RegExp(`^${words.join('/')}$`))
  }

  /** Whether a path belongs to such a route. */
  has(path: string): boolean {
    return this.#patterns.some((pattern) => pattern.test(path))
  }
}
