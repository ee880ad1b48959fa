import type { DisconnectReason } from '../../api/errors.js'
import { waitAtMost } from '../../wire/time-slices.js'
import type { Client } from './client.js'

/** How long is waited for what `onDisconnect` does when the app closes, ms. */
const GRACE = 500

/** Tells the app of clients that have gone, never amid a flush: its code, loggers included, may broadcast. */
export class DisconnectNotices {
  readonly #tell: (client: Client, reason: DisconnectReason) => Promise<void>
  readonly #underWay = new Set<Promise<void>>()

  /** @param tell never rejects */
  constructor(tell: (client: Client, reason: DisconnectReason) => Promise<void>) {
    this.#tell = tell
  }

  add(client: Client, reason: DisconnectReason): void {
    queueMicrotask(() => {
      const parting = this.#tell(client, reason)
      this.#underWay.add(parting)
      parting.finally(() => this.#underWay.delete(parting))
    })
  }

  /** Resolves when all are through, or have had time enough: they may use what the app closes next. */
  async settle(): Promise<void> {
    // Those just added begin in a microtask.
    await null
    await waitAtMost(GRACE, Promise.all(this.#underWay))
  }
}
