// Iteration over the events of a connection. It is loaded by the first `for await`.

import type { SseConnection } from './client.js'
import { type AnyEvent, resyncEvent, type SseEvent, type WithOwnEvents } from './event.js'

/**
 * Iterates over the events of a connection until it is closed, `resync` included. Then it throws the error that has closed it, if any.
 *
 * @param buffer events that have come already. The iterator takes the array over
 * @param maxBuffered the most events that it holds. Past that the oldest are dropped, and a `resync` takes their place
 * @param offEarly removes the listener that has filled the buffer so far
 */
export function iterate<Events extends object>(
  live: SseConnection<Events>,
  buffer: SseEvent[],
  maxBuffered: number,
  offEarly: () => void
): AsyncGenerator<AnyEvent<WithOwnEvents<Events>>, void, void> {
  let missed = 0
  let wake = () => {}
  const trim = () => {
    while (buffer.length > maxBuffered) {
      buffer.shift()
      missed++
    }
    wake()
  }
  // Outside the generator, whose code runs only from the first `next` on.
  const off = live.subscribe((event) => {
    buffer.push(event as SseEvent)
    trim()
  })
  offEarly()
  const offStatus = live.onStatus(() => wake())
  trim()
  const events = async function* (): AsyncGenerator<SseEvent, void, void> {
    try {
      for (;;) {
        const { status } = live
        const event = missed ? resyncEvent('overflow', missed) : buffer.shift()
        missed = 0
        if (event !== undefined) yield event
        else if (status.state !== 'closed') {
          await new Promise<void>((resolve) => {
            wake = resolve
          })
        } else if (status.error === undefined) return
        else throw status.error
      }
    } finally {
      off()
      offStatus()
    }
  }
  return events() as AsyncGenerator<AnyEvent<WithOwnEvents<Events>>, void, void>
}
