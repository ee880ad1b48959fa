// The request that the test client sends, whatever the transport.

import type { ListenOptions } from './options.js'

/** A request for a stream. */
export interface StreamRequest {
  method: string
  path: string
  headers: [name: string, value: string][]
  body: string | undefined
}

/**
 * The request to `path`, which may have a query. The headers are those of an EventSource, unless the options have
 * others.
 */
export function requestFor(path: string, options: ListenOptions, lastEventId: string | undefined): StreamRequest {
  const { topics = [], query = {}, headers = {}, method = 'GET', body } = options
  const all = {
    accept: 'text/event-stream',
    ...(lastEventId !== undefined && { 'last-event-id': lastEventId }),
    ...(body !== undefined && typeof body !== 'string' && { 'content-type': 'application/json' }),
    ...Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
  }
  return {
    method,
    path: withQuery(path, [...Object.entries(query), ...topics.map((topic): [string, string] => ['topic', topic])]),
    headers: Object.entries(all).flatMap(([name, value]) =>
      [value ?? []].flat().map((single): [string, string] => [name, single])
    ),
    body: body === undefined || typeof body === 'string' ? body : JSON.stringify(body)
  }
}

function withQuery(path: string, query: [string, string][]): string {
  const { pathname, search, searchParams } = new URL(path, 'http://localhost')
  for (const [name, value] of query) searchParams.append(name, value)
  return pathname + (query.length === 0 ? search : `?${searchParams}`)
}

/** Headers by their names, as Node takes them. */
export function headersByName(headers: [name: string, value: string][]): Record<string, string | string[]> {
  const all: Record<string, string | string[]> = {}
  for (const [name, value] of headers) {
    const before = all[name]
    all[name] = before === undefined ? value : [before, value].flat()
  }
  return all
}

/** Pairs of a name and a value, from a list in which they alternate, as Node's `rawHeaders`. */
export function headerPairs(raw: readonly string[]): [name: string, value: string][] {
  return Array.from({ length: raw.length / 2 }, (_, i) => [raw[2 * i]!, raw[2 * i + 1]!])
}
