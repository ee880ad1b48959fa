import type { CloseOptions } from '../api/api.js'
import { isPattern } from '../log/topic.js'
import type { BackplaneCommand } from './backplane.js'
import { isFrame } from './frame.js'
import { type ClientSelector, checkSelector } from './selector.js'

/** What is done to clients that are picked by a selector, on this process or on another. */
export type Command =
  | { readonly kind: 'disconnect'; readonly options: CloseOptions }
  | { readonly kind: 'subscribe'; readonly topic: string }
  | { readonly kind: 'unsubscribe'; readonly topic: string }
  /** `frame`: an encoded event without an id. */
  | { readonly kind: 'send'; readonly frame: string }

/** A command, and whom it is for. */
export interface Order {
  readonly selector: ClientSelector
  readonly command: Command
}

/** The message by which an order gets to all processes. */
export function encodeOrder({ selector, command }: Order): BackplaneCommand {
  const { kind, ...rest } = command
  return { kind, body: JSON.stringify({ selector, ...rest }) }
}

/**
 * Reads an order that any program may have written.
 *
 * @returns nothing where it picks nobody in particular, or by a field that is not known: that would pick too many; and
 *   where what it says to do cannot be done
 */
export function readOrder({ kind, body }: BackplaneCommand): Order | undefined {
  try {
    const fields = JSON.parse(body)
    const command = readCommand(kind, fields)
    return command && { selector: checkSelector(fields.selector), command }
  } catch {
    return undefined
  }
}

function readCommand(
  kind: Command['kind'],
  { options = {}, topic, frame }: Record<string, unknown>
): Command | undefined {
  if (kind === 'send') return typeof frame === 'string' && isFrame(frame) ? { kind, frame } : undefined
  if (kind !== 'disconnect') return isPattern(topic) ? { kind, topic } : undefined
  const { reconnect } = options as { reconnect?: unknown }
  if (reconnect === undefined) return { kind, options: {} }
  return typeof reconnect === 'boolean' ? { kind, options: { reconnect } } : undefined
}
