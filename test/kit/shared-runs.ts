// Processes that share an engine, and the runs on it.

import type { Test } from 'tap'
import type { Backplane } from '../../lib/backplane/backplane.js'
import type { PylonSseOptions } from '../../lib/index.js'
import { type Process, startProcess } from './processes.js'
import type { SseClient } from './sse-client.js'

/**
 * Limits for a test that waits for a run to be abandoned or lost: no shorter, as a busy machine may stand still for a second
 * or two.
 */
export const SHORT = 3000

/** A process of which no run is taken for lost during a test. */
export async function start(t: Test, backplane: Backplane, sse: PylonSseOptions = {}) {
  const s = await startProcess(t, backplane, { runs: { silence: 15_000 }, ...sse })
  return { ...s, listen: (topic: string, lastEventId?: string) => listen(s, topic, lastEventId) }
}

/** By the plugin's own route, as a page does that has been told the topic. */
async function listen(s: Process, topic: string, lastEventId?: string): Promise<SseClient> {
  return s.connect({ query: { topic }, ...(lastEventId !== undefined && { lastEventId }) })
}

/** Resolves when a process knows of a run. */
export async function known({ url }: Process, topic: string, events = 0): Promise<void> {
  for (;;) {
    const response = await fetch(`${url}/events?topic=${topic}`, { headers: { accept: 'application/json' } })
    const page = (await response.json()) as { cursor: string; events: unknown[] }
    if (/^r\w{12}-\d+$/.test(page.cursor) && page.events.length >= events) return
  }
}
