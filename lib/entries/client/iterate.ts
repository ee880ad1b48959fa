import type { SseConnection } from './client.js'
import { type AnyEvent, resyncEvent, type SseEvent, type WithOwnEvents } from './event.js'

/**
 * The events of a connection until it is closed, `resync` included. It then throws what has closed it, if anything.
 *
 * @param buffer those that have come already: it is theirs from now on
 * @param maxBuffered how many it holds; past that it loses the oldest, and gives a `resync` in their place
 * @param offEarly ends what has filled the buffer
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
  // Not in the generator, which would begin with the first `next`.
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
