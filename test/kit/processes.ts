// Apps on one engine, and the events that their clients have received. To the engine each app looks like a process of its own; real
// processes are in cluster.ts.

import type { Test } from 'tap'
import type { Backplane, BackplaneLimits } from '../../lib/backplane/backplane.js'
import type { PylonSseOptions } from '../../lib/index.js'
import type { Engine } from './engines.js'
import type { EventReader, SseEvent } from './event-reader.js'
import { LogLines } from './log-lines.js'
import { resyncOf } from './numbered.js'
import { type Served, serve } from './server.js'

/** An app that listens, and what it has logged. */
export interface Process extends Served {
  readonly log: LogLines
}

/** How long a test waits for the consequences of a fault, ms. It takes seconds until a frozen engine is given up. */
export const LONG = 30_000
/** The header that names the user of a client, for selectors by `state.user`. */
export const USER = 'x-user'

/** Starts an app with a backplane of its own. */
export async function startProcess(t: Test, backplane: Backplane, sse: PylonSseOptions = {}): Promise<Process> {
  const log = new LogLines()
  const served = await serve(t, {
    fastify: { logger: { level: 'warn', stream: log } },
    sse: {
      backplane,
      publish: {},
      authorizeTopics: () => true,
      onConnect: (client, request) => {
        client.state.user = request.headers[USER]
      },
      ...sse
    }
  })
  return { ...served, log }
}

export async function startProcesses(
  t: Test,
  engine: Pick<Engine, 'backplane'>,
  count: number,
  limits?: Partial<BackplaneLimits>
) {
  const processes: Process[] = []
  for (let i = 0; i < count; i++) processes.push(await startProcess(t, engine.backplane(limits)))
  return processes as [Process, Process, ...Process[]]
}

export function eventsOf(reader: EventReader): SseEvent[] {
  return reader.events.filter((event) => resyncOf(event) === undefined)
}

export function dataOf(reader: EventReader): string[] {
  return eventsOf(reader).map(({ data }) => data)
}

/** Waits until each reader has received at least `count` events. */
export async function waitForEvents(readers: readonly EventReader[], count: number): Promise<void> {
  for (const reader of readers) while (eventsOf(reader).length < count) await reader.next(LONG)
}

export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i)
}

export function publish({ app }: Process, from: number, to: number): Promise<string[]> {
  return Promise.all(range(from, to).map((n) => app.sse.publish(n)))
}

/** Waits until a condition holds, by asking again and again: an engine gives no notice of it. @throws Error after `LONG` */
export async function eventually(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + LONG
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`waited ${LONG} ms until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
