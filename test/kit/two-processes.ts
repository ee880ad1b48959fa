// Two apps that share a log, and what their pages and clients give.

import type { Test } from 'tap'
import { MemoryEngine, memoryBackplane } from '../../lib/backplane/memory.js'
import type { PylonSseOptions } from '../../lib/index.js'
import type { EventReader } from './event-reader.js'
import { type Process, startProcess } from './processes.js'

interface Page {
  events: { id: string; data: unknown }[]
  cursor: string
}

/** Two apps that share a log, as two processes do. */
export async function startTwo(t: Test, sse?: PylonSseOptions): Promise<[Process, Process]> {
  const engine = new MemoryEngine()
  const start = () => startProcess(t, memoryBackplane(engine), sse)
  return [await start(), await start()]
}

/** A page of the log of a process. */
export async function page(
  { url }: Process,
  query: Record<string, string> = {}
): Promise<{ status: number; body: Page }> {
  const response = await fetch(`${url}/events?${new URLSearchParams(query)}`, {
    headers: { accept: 'application/json' }
  })
  return { status: response.status, body: (await response.json()) as Page }
}

/** The data of the next events of a client. */
export async function data(reader: EventReader, count: number): Promise<string[]> {
  return (await reader.take(count)).map((event) => event.data)
}
