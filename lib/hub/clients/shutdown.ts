// How the streams of all clients end when the app closes. Connections that carry no stream are closed in
// wire/connection-deadlines.ts.

import { inSlices, waitAtMost } from '../../wire/time-slices.js'
import type { Client } from './client.js'

/** Time that clients have to read on, ms. */
const READING_TIME = 1000
/** Interval at which clients are checked meanwhile, ms. */
const ROUND = 20
/** Time after which the remaining connections are cut, ms. */
const CLOSING_TIME = 1500
/**
 * Time after which streams are no longer ended properly but cut, ms. Only a process with very many clients gets here:
 * ending a stream costs as little as cutting it.
 */
const LEAVING_TIME = 2500

/**
 * Ends every stream: clients get what was broadcast before, a reconnection time, and a proper end; those with the least
 * left to read come first. After 1 s the remaining streams are ended where they are, and their clients will resume from
 * there. After 1.5 s connections that have not taken their last bytes are cut. Resolves when all clients are gone.
 *
 * @param since when the app began to close, ms of `performance.now()`
 * @param retry returns a reconnection time, ms
 */
export async function endStreams(clients: Iterable<Client>, since: number, retry: () => number): Promise<void> {
  const lags = new Map<Client, number>()
  const ends: Promise<void>[] = []
  await inSlices(clients, (client) => {
    lags.set(client, client.lag)
    ends.push(client.whenGone())
  })
  const nearestFirst = [...lags.keys()].sort((a, b) => lags.get(a)! - lags.get(b)!)
  const gone = Promise.all(ends)
  const lasts = (ms: number) => performance.now() - since < ms
  for (let left = nearestFirst; left.length > 0 && lasts(LEAVING_TIME); left = left.filter(({ closed }) => !closed)) {
    await inSlices(left, (client) => {
      if (lasts(LEAVING_TIME)) client.leave({ retry: retry() }, !lasts(READING_TIME))
    })
    await waitAtMost(ROUND, gone)
  }
  await waitAtMost(since + CLOSING_TIME - performance.now(), gone)
  await inSlices(nearestFirst, (client) => client.cut())
  // A response of another class than Node's may never emit 'close'.
  await waitAtMost(ROUND, gone)
}
