// `client.signal`, which aborts when the stream of a client ends.

import type { DisconnectReason } from '../../api/errors.js'
import { StreamEndedError } from '../../api/errors.js'

/** The controllers of signals that the app has used. A signal that it never uses costs nothing. */
const controllers = new WeakMap<object, AbortController>()

/**
 * Returns the signal of a client.
 *
 * @param reason why the stream has ended, if it has
 */
export function endSignalOf(client: object, reason: DisconnectReason | undefined): AbortSignal {
  let controller = controllers.get(client)
  if (controller === undefined) {
    controller = new AbortController()
    controllers.set(client, controller)
    if (reason !== undefined) controller.abort(new StreamEndedError(reason))
  }
  return controller.signal
}

/** Aborts the signal of a client, if the app has used it. Its listeners are code of the app. */
export function abortEndSignal(client: object, reason: DisconnectReason): void {
  controllers.get(client)?.abort(new StreamEndedError(reason))
}
