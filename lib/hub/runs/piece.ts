// What the pieces of a source may look like.

import type { EventOptions } from '../../api/api.js'
import { InvalidEventError } from '../../api/errors.js'
import { DONE, FAILED } from './run-log.js'

/**
 * Reads a piece as the name and data of an event. An object with no other fields than `data` and `event` is an event;
 * anything else is data.
 */
export function readPiece(piece: unknown, name: string | undefined): { data: unknown; options: EventOptions } {
  const isEvent =
    typeof piece === 'object' &&
    piece !== null &&
    'data' in piece &&
    Object.keys(piece).every((field) => field === 'data' || field === 'event')
  const { data, event = name } = isEvent ? (piece as { data: unknown; event?: string }) : { data: piece }
  if (event === DONE || event === FAILED)
    throw new InvalidEventError('event', `'${event}'`, 'another name: the end of a run is told by it')
  const text = data instanceof Uint8Array ? Buffer.from(data).toString() : data
  return { data: text, options: event === undefined ? {} : { event } }
}
