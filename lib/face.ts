import type { CloseOptions } from './close-options.js'
import type { EventOptions } from './encode.js'
import type { Hub } from './hub.js'
import type { ClientSelector } from './selector.js'
import type { Sse } from './sse.js'
import type { SseClient } from './sse-client.js'

/** What the app gets of a hub: its public part, whose methods may be taken apart. */
export function faceOf(hub: Hub): Sse {
  return Object.freeze({
    broadcast: (data: unknown, options?: EventOptions) => hub.broadcast(data, options),
    broadcastMessage: (text: string, options?: EventOptions) => hub.broadcastText(text, options),
    publish: async (data: unknown, options?: EventOptions) => hub.publish(data, options),
    disconnect: (who: ClientSelector | ((client: SseClient) => boolean), options?: CloseOptions) =>
      hub.disconnect(who, options),
    get clientCount() {
      return hub.clients.size
    },
    get clients() {
      return { [Symbol.iterator]: () => hub.clients[Symbol.iterator]() }
    },
    get ready() {
      return hub.ready
    },
    stats: () => hub.stats()
  }) as Sse
}
