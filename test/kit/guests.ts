// The clients of an app, as they come and go.

import type { DisconnectReason, SseClient } from '../../lib/index.js'
import { type Deferred, deferred } from './deferred.js'
import type { EventReader } from './event-reader.js'
import { withTimeout } from './patience.js'

/** What the app is told of its clients' coming and going, in order of arrival. */
export class Guests {
  readonly here: SseClient[] = []
  readonly left: { client: SseClient; reason: DisconnectReason }[] = []
  readonly #leaving: Deferred<void>[] = []

  readonly hooks = {
    onConnect: (client: SseClient) => {
      this.here.push(client)
    },
    onDisconnect: (client: SseClient, reason: DisconnectReason) => {
      this.left.push({ client, reason })
      for (const { resolve } of this.#leaving) resolve()
    }
  }

  async waitForLeaving(count = 1): Promise<void> {
    while (this.left.length < count) {
      const leaving = deferred()
      this.#leaving.push(leaving)
      await withTimeout(leaving.promise, `client ${count} to leave`)
    }
  }
}

/** The data of the next `n` events. */
export async function dataOf(client: EventReader, n: number): Promise<string[]> {
  const events = await client.take(n)
  return events.map((event) => event.data)
}
