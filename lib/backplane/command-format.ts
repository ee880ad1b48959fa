// Commands for clients on other processes, as messages of the log. What they do to a client is in hub/clients/commands.ts.

import type { CloseOptions } from '../api/api.js'
import { isPattern } from '../log/topic.js'
import type { BackplaneCommand } from './backplane.js'
import { isEventBody } from './event-body.js'
import { type ClientSelector, checkSelector } from './selector.js'

/** What is done to the clients that a selector picks, on any process. */
export type Command =
  | { readonly kind: 'disconnect'; readonly options: CloseOptions }
  | { readonly kind: 'subscribe'; readonly topic: string }
  | { readonly kind: 'unsubscribe'; readonly topic: string }
  /** `frame`: an encoded event without an id. */
  | { readonly kind: 'send'; readonly frame: string }

/** A command, and the selector of the clients that it is for. */
export interface Order {
  readonly selector: ClientSelector
  readonly command: Command
}

/** Returns the message that carries an order to all processes. */
export function encodeOrder({ selector, command }: Order): BackplaneCommand {
  const { kind, ...rest } = command
  return { kind, body: JSON.stringify({ selector, ...rest }) }
}

/**
 * Reads an order that any program may have written.
 *
 * @returns undefined if the selector is empty or has an unknown field, since it would pick too many clients, or if the
 *   command is not valid
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
  if (kind === 'send') return typeof frame === 'string' && isEventBody(frame) ? { kind, frame } : undefined
  if (kind !== 'disconnect') return isPattern(topic) ? { kind, topic } : undefined
  const { reconnect } = options as { reconnect?: unknown }
  if (reconnect === undefined) return { kind, options: {} }
  return typeof reconnect === 'boolean' ? { kind, options: { reconnect } } : undefined
}
