import type { FastifyRequest } from 'fastify'

/** Routes remembered. */
const MAX_PATHS = 1000
/** What makes a route more than words and whole parameters: patterns, wildcards, several parameters between two slashes. */
const BEYOND = /[()*?]|:[^/]*[-:.]/

/** Where routes of the app have answered with streams, for requests that no route hears of any more. */
export class StreamPaths {
  readonly #seen = new Set<string>()
  readonly #patterns: RegExp[] = []

  /** A stream has been asked for. */
  note({ routeOptions: { url } }: FastifyRequest): void {
    if (url === undefined || this.#seen.has(url) || this.#seen.size >= MAX_PATHS) return
    this.#seen.add(url)
    if (BEYOND.test(url)) return
    const words = url
      .split('/')
      .map((word) => (word.startsWith(':') ? '[^/]+' : word.replace(/[.+^$|[\]{}\\]/g, '\\$&')))
    this.#patterns.push(new RegExp(`^${words.join('/')}$`))
  }

  /** Whether a path is of such a route. */
  has(path: string): boolean {
    return this.#patterns.some((pattern) => pattern.test(path))
  }
}
