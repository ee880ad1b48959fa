// Requests for pages of the log, and what they are answered.

import type { Test } from 'tap'
import type { PylonSseOptions } from '../../lib/index.js'
import type { Page } from '../../lib/routes/page.js'
import { bodyOf } from './answers.js'
import type { EventReader } from './event-reader.js'
import { type Served, serve } from './server.js'

export type Query = Record<string, string | number | string[]>

export interface Refusal {
  statusCode: number
  code: string
  message: string
  oldest?: string
}

export function pathOf(query: Query): string {
  const pairs = Object.entries(query).flatMap(([name, value]) =>
    [value].flat().map((one): [string, string] => [name, String(one)])
  )
  return `/events?${new URLSearchParams(pairs)}`
}

export function ask({ connect }: Served, query: Query = {}, waitForHead = true): Promise<EventReader & Closable> {
  return connect({ path: pathOf(query), headers: { accept: 'application/json' }, waitForHead })
}

export interface Closable {
  close(): Promise<void>
}

export async function pageOf(served: Served, query: Query = {}): Promise<Page> {
  return bodyOf(await ask(served, query))
}

export async function publishNumbers({ app }: Served, from: number, to: number, topic?: string): Promise<string[]> {
  const ids: string[] = []
  for (let n = from; n <= to; n++) ids.push(await app.sse.publish(n, { topic }))
  return ids
}

export function dataOf({ events }: Page): unknown[] {
  return events.map(({ data }) => data)
}

/** A log with the events 1 to `n` in it. */
export async function serveNumbers(t: Test, n: number, sse: PylonSseOptions = {}) {
  const served = await serve(t, { sse: { authorizeTopics: () => true, ...sse } })
  const ids = await publishNumbers(served, 1, n)
  return { served, ids }
}
