import type { EventOptions } from './encode.js'
import { ClosedError } from './errors.js'
import type { Hub } from './hub.js'
import type { Sse } from './sse.js'
import type { CloseOptions, SseClient } from './sse-client.js'

/** What the app gets of a hub: its public part, whose methods may be taken apart. */
export function faceOf(hub: Hub): Sse {
  return Object.freeze({
    broadcast: (data: unknown, options?: EventOptions) => void hub.accept(data, options),
    broadcastMessage: (text: string, options?: EventOptions) => void hub.acceptText(text, options),
    publish: async (data: unknown, options?: EventOptions) => {
      const id = hub.accept(data, options)
      if (id === undefined) throw new ClosedError()
      return id
    },
    disconnect: (predicate: (client: SseClient) => boolean, options?: CloseOptions) =>
      hub.disconnect(predicate, options),
    get clientCount() {
      return hub.clientCount
    },
    get clients() {
      return { [Symbol.iterator]: () => hub.clients() }
    },
    stats: () => hub.stats()
  }) as Sse
}
