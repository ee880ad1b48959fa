// What follows a disconnect, such as `onDisconnect`: it runs outside of flushes. What it consists of is in clients.ts.

import type { DisconnectReason } from '../../api/errors.js'
import { waitAtMost } from '../../wire/time-slices.js'
import type { Client } from './client.js'

/** Time that `onDisconnect` has to finish when the app closes, ms. */
const GRACE = 500

/**
 * Notifies the app of disconnected clients, in microtasks: code of the app, loggers included, may broadcast, which must
 * not happen during a flush.
 */
export class DisconnectNotices {
  readonly #tell: (client: Client, reason: DisconnectReason) => Promise<void>
  readonly #underWay = new Set<Promise<void>>()

  /** @param tell never rejects */
  constructor(tell: (client: Client, reason: DisconnectReason) => Promise<void>) {
    this.#tell = tell
  }

  add(client: Client, reason: DisconnectReason): void {
    queueMicrotask(() => {
      const notice = this.#tell(client, reason)
      this.#underWay.add(notice)
      notice.finally(() => this.#underWay.delete(notice))
    })
  }

  /** Resolves when all notices have finished, or after GRACE: `onDisconnect` may use what the app closes next. */
  async settle(): Promise<void> {
    // Notices that were just added begin in a microtask.
    await null
    await waitAtMost(GRACE, Promise.all(this.#underWay))
  }
}
