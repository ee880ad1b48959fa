// What processes that share an engine tell each other about runs: the mark of an event that is a piece of a run, and messages beside
// the pieces. What a process does with them is in hub/runs/.

import { isTopic } from '../log/topic.js'

/** The place of an event in its run. */
export interface RunMark {
  /** Id of the run. */
  readonly id: string
  /** Number of the event in the run, from 1. */
  readonly n: number
  /** Whether the event is the last of the run. */
  readonly last?: boolean | undefined
}

/** The bounds of a run whose own bounds are unknown. */
export const RUN_BOUNDS = { linger: 300_000, maxEvents: 10_000, maxBytes: 1024 * 1024 }

/** A message about runs that is not a piece of one. */
export type RunMessage =
  /** A run has begun. */
  | { readonly is: 'begin'; readonly topic: string; readonly id: string; readonly bounds: typeof RUN_BOUNDS }
  /** The run must stop, on whichever process it is. */
  | { readonly is: 'stop'; readonly topic: string }
  /** The process is alive, and has listeners to runs of these topics. */
  | { readonly is: 'alive'; readonly heard: readonly string[] }

const ID = /^r[0-9a-z]{12}$/

/** Whether a value can be the id of a run. */
export function isRunId(id: unknown): id is string {
  return typeof id === 'string' && ID.test(id)
}

export function beginMessage(
  { topic, linger, maxEvents, maxBytes }: { readonly topic: string } & Readonly<typeof RUN_BOUNDS>,
  id: string
): RunMessage {
  return { is: 'begin', topic, id, bounds: { linger, maxEvents, maxBytes } }
}

/** Decodes a message that any program may have written; undefined if it is not valid. */
export function readRunMessage(body: string): RunMessage | undefined {
  try {
    const { is, topic, id, bounds, heard } = JSON.parse(body)
    if (is === 'alive') return Array.isArray(heard) && heard.every(isTopic) ? { is, heard } : undefined
    if (!isTopic(topic)) return undefined
    if (is === 'stop') return { is, topic }
    if (is !== 'begin' || !isRunId(id)) return undefined
    const known: typeof RUN_BOUNDS = { ...RUN_BOUNDS }
    for (const name of Object.keys(known) as (keyof typeof RUN_BOUNDS)[]) {
      if (!Number.isSafeInteger(bounds[name]) || bounds[name] < 0) return undefined
      known[name] = bounds[name]
    }
    return { is, topic, id, bounds: known }
  } catch {
    return undefined
  }
}
