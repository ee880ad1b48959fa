// The change of topics while a connection is open, by the option `changeTopics`. Loaded by those who use it; others reconnect.

import type { Attempt } from './attempt.js'
import type { Connection } from './connection.js'
import { keepalive } from './event.js'
import type { ConnectionOptions } from './options.js'

/** The attempts whose topics are being changed. */
const changing = new WeakSet<Attempt>()

/**
 * Calls `change` until the server has the topics that are wanted, or the attempt has ended. Has no effect if that is already going on.
 *
 * @throws what `change` throws
 */
export async function changeTopics(
  connection: Connection,
  attempt: Attempt,
  change: NonNullable<ConnectionOptions['changeTopics']>
): Promise<void> {
  const { signal } = attempt
  const { clientId, sink, subscriptions } = connection
  if (changing.has(attempt)) return
  changing.add(attempt)
  try {
    while (!signal.aborted) {
      const { asked, added, given, wanted } = subscriptions
      const add = [...wanted].filter((topic) => !asked.has(topic))
      // What the app on the server has given stays: with `shared` it is for all tabs.
      const remove = [...asked].filter((topic) => !wanted.has(topic) && !given.has(topic))
      if (!add.length && !remove.length) break
      // Events of the new topics may come before the answer does.
      for (const topic of add) added.add(topic) && asked.add(topic)
      await change({ clientId: clientId!, add, remove, signal })
      for (const topic of remove) asked.delete(topic)
    }
    // With `shared`, tabs that wait for the new topics are let in by the next event.
    if (!signal.aborted) sink.receive(keepalive())
  } finally {
    changing.delete(attempt)
  }
}
