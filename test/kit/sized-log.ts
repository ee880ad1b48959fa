// A log with events of given sizes.

import { EventLog, type EventLogOptions } from '../../lib/log/event-log.js'

export const EPOCH = 'k3x9'
export const LOTS = 1_000_000

export function logWith(bounds: Partial<EventLogOptions> = {}): EventLog {
  return new EventLog({ epoch: EPOCH, replay: LOTS, events: LOTS, bytes: LOTS, ...bounds })
}

interface Sized {
  size?: number
  id?: string | undefined
  topic?: string | undefined
}

export function append(log: EventLog, { size, id, topic }: Sized = {}): number {
  const idLine = Buffer.byteLength(`id: ${id ?? log.cursorAt(log.head + 1)}\n`)
  return log.append('x'.repeat(size === undefined ? 1 : size - idLine), { id, topic }).frame.length
}

export function held(log: EventLog): number[] {
  return Array.from({ length: log.size }, (_, i) => log.at(log.oldest + i).seq)
}
