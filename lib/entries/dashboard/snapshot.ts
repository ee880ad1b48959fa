// What the dashboard shows of a hub: snapshots, and a search for clients. How they reach the page is in dashboard.ts.

import { hostname } from 'node:os'
import type { Sse, SseClient, SseStats } from '../../api/api.js'
import type { DisconnectReason } from '../../api/errors.js'
import type { Census } from '../../hub/clients/census.js'
import { hubs } from '../../hub/hubs.js'

/** Maximum number of clients, topics and disconnects that the page lists. */
const MAX_ROWS = 50
/** Maximum number of topics that it lists of one client. */
const MAX_TOPICS = 5

/** A client with what only the package sees of it. */
export type ObservedClient = SseClient & {
  readonly lag: number
  readonly isPaused: boolean
  pause(): void
  resume(): void
}

export interface ClientRow {
  id: string
  ip: string | undefined
  /** ms. */
  age: number
  /** Events. */
  lag: number
  topics: readonly string[]
  topicCount: number
  isPaused: boolean
}

export interface Disconnect {
  /** ms since 1970. */
  at: number
  reason: DisconnectReason
  /** ms. */
  duration: number
  ip: string | undefined
}

export interface Snapshot {
  at: number
  hub: string
  host: string
  pid: number
  /** Whether the page has buttons. */
  isWritable: boolean
  stats: SseStats & { ready: boolean }
  /** The slowest first. */
  clients: ClientRow[]
  topics: { total: number; top: [topic: string, subscribers: number][] }
  /** The newest first. */
  disconnects: readonly Disconnect[]
}

/** The disconnects of a hub, the newest first, as many as the page lists. */
export class LastDisconnects {
  #list: readonly Disconnect[] = []

  get list(): readonly Disconnect[] {
    return this.#list
  }

  add(disconnect: Disconnect): void {
    this.#list = [disconnect, ...this.#list.slice(0, MAX_ROWS - 1)]
  }
}

export function takeSnapshot(
  sse: Sse,
  { hub, isWritable, disconnects }: { hub: string; isWritable: boolean; disconnects: LastDisconnects }
): Snapshot {
  const topics = censusOf(sse).topics()
  const top = [...topics].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)).slice(0, MAX_ROWS)
  return {
    at: Date.now(),
    hub,
    host: hostname(),
    pid: process.pid,
    isWritable,
    stats: { ...sse.stats(), ready: sse.ready },
    clients: slowestClients(sse),
    topics: { total: topics.size, top },
    disconnects: disconnects.list
  }
}

/**
 * Finds clients by a part of their id, their address or one of their topics; all without a text. The slowest come
 * first.
 */
export function findClients(sse: Sse, text = ''): { clients: ClientRow[]; total: number } {
  if (text === '') return { clients: slowestClients(sse), total: sse.clientCount }
  const found: { client: ObservedClient; lag: number }[] = []
  for (const each of sse.clients) {
    const client = each as ObservedClient
    if (hasText(client, text)) found.push({ client, lag: client.lag })
  }
  const slowest = found.sort((a, b) => b.lag - a.lag).slice(0, MAX_ROWS)
  return { clients: slowest.map(({ client, lag }) => rowOf(client, lag)), total: found.length }
}

function slowestClients(sse: Sse): ClientRow[] {
  return censusOf(sse)
    .slowest(MAX_ROWS)
    .map(({ client, lag }) => rowOf(client, lag))
}

/** A census, since a snapshot is taken every second, and must not visit all clients. */
function censusOf(sse: Sse): Census {
  return hubs.get(sse)!.clients.census
}

function hasText({ id, ip = '', topics }: ObservedClient, text: string): boolean {
  return id.includes(text) || ip.includes(text) || topics.some((topic) => topic.includes(text))
}

function rowOf({ id, ip, connectedAt, topics, isPaused }: ObservedClient, lag: number): ClientRow {
  const age = Math.max(0, Date.now() - connectedAt.getTime())
  return { id, ip, age, lag, topics: topics.slice(0, MAX_TOPICS), topicCount: topics.length, isPaused }
}
