import type { DisconnectReason } from '../../api/errors.js'
import { StreamEndedError } from '../../api/errors.js'

/** The signals of clients that the app has asked for: most never are, and cost nothing. */
const controllers = new WeakMap<object, AbortController>()

/**
 * The signal of a client, which aborts when its stream ends.
 *
 * @param reason why the stream has ended, where it has
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

/** Aborts the signal of a client, where the app has asked for it. Its listeners are the app's code. */
export function abortEndSignal(client: object, reason: DisconnectReason): void {
  controllers.get(client)?.abort(new StreamEndedError(reason))
}
