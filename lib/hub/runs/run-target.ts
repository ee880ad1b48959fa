// Where the pieces of a run go: encoded, to the engine of the backplane, or without one to the run's log.

import { RunsFullError } from '../../api/errors.js'
import type { Logger } from '../../api/input/logger.js'
import type { RunMark, RunMessage } from '../../backplane/run-message.js'
import type { EncodedEvent, EventEncoder } from '../../log/event-encoder.js'
import { readPiece } from './piece.js'
import { DONE, FAILED, type RunLog } from './run-log.js'
import type { ResolvedRunOptions } from './run-options.js'
import type { Runs } from './runs.js'
import type { WorkTarget } from './work.js'

/** What runs need of the hub. */
export interface RunnerContext {
  readonly encoder: EventEncoder
  readonly logger: Logger
  /** Whether a backplane is in use. */
  readonly isShared: () => boolean
  /** Whether its engine can be reached. */
  readonly isConnected: () => boolean
  /** Publishes a piece. Resolves when the engine has it. */
  publish(event: EncodedEvent, run: RunMark): Promise<void>
  /** Sends a message to all processes. */
  tell(message: RunMessage): void
  /** Tells the listeners of a run that they have missed pieces. */
  skipGap(run: RunLog): void
}

/** Appends an event to the log of a run on this process. */
export type AppendToRun = (run: RunLog, event: EncodedEvent, last: boolean) => void

/**
 * Creates the target of a source's pieces. They are encoded and published to the engine, or without a backplane
 * appended to the run's log. The end of the source becomes the event `done` or `failed`.
 */
export function runTarget(
  run: RunLog,
  { event: name, describeError }: ResolvedRunOptions,
  runs: Runs,
  context: RunnerContext,
  append: AppendToRun
): WorkTarget {
  const { encoder } = context
  const logError = (err: unknown) => context.logger.error({ err, topic: run.topic }, 'SSE: a run has failed')
  let sent = 0
  const encode = (data: unknown, event?: string) =>
    encoder.encode(data, event === undefined ? { topic: run.topic } : { event, topic: run.topic })
  const send = (event: EncodedEvent, last = false): Promise<void> | undefined => {
    if (!context.isShared()) {
      append(run, event, last)
      return undefined
    }
    return context.publish(event, { id: run.id, n: ++sent, ...(last && { last }) })
  }
  const end = (event: EncodedEvent) => {
    // If the engine does not take it, at least the listeners on this process get it.
    send(event, true)?.catch(() => {
      if (!run.ended) append(run, event, true)
    })
  }
  return {
    get isOffered() {
      return run.isOffered
    },
    accept: (piece) => {
      const { data, options } = readPiece(piece, name)
      const event = encode(data, options.event)
      if (!runs.hasRoomFor(run.growthBy(event.body))) throw new RunsFullError(runs.size)
      return send(event)
    },
    done: (value) => {
      try {
        end(encode(value ?? null, DONE))
      } catch (error) {
        logError(error)
        end(encode({ reason: 'error' }, FAILED))
      }
    },
    failed: (reason, error) => {
      if (reason === 'error') logError(error)
      end(encode({ reason, ...(reason === 'error' && messageOf(error, describeError)) }, FAILED))
    }
  }
}

function messageOf(error: unknown, describe: ((error: unknown) => string) | undefined): { message?: string } {
  try {
    const message = describe?.(error)
    return message === undefined ? {} : { message: String(message) }
  } catch {
    return {}
  }
}
