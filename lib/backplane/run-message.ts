import { isTopic } from '../log/topic.js'

/** What is held of a run of which nothing else is known. */
export const RUN_BOUNDS = { linger: 300_000, maxEvents: 10_000, maxBytes: 1024 * 1024 }

/** What processes tell each other of runs beside their pieces. */
export type RunMessage =
  /** One has begun. */
  | { readonly is: 'begin'; readonly topic: string; readonly id: string; readonly bounds: typeof RUN_BOUNDS }
  /** It is to stop, wherever it is. */
  | { readonly is: 'stop'; readonly topic: string }
  /** The process is there, and runs of these topics are listened to on it. */
  | { readonly is: 'alive'; readonly heard: readonly string[] }

const ID = /^r[0-9a-z]{12}$/

/** Whether this can be the id of a run. */
export function isRunId(id: unknown): id is string {
  return typeof id === 'string' && ID.test(id)
}

export function beginMessage(
  { topic, linger, maxEvents, maxBytes }: { readonly topic: string } & Readonly<typeof RUN_BOUNDS>,
  id: string
): RunMessage {
  return { is: 'begin', topic, id, bounds: { linger, maxEvents, maxBytes } }
}

/** Reads what any program may have written; nothing, where it is no such message. */
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
