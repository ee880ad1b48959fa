// Clients that are stuck, over every transport, and the first of them to leave.

import type { DisconnectReason, SseClient } from '../../lib/index.js'
import { deferred } from './deferred.js'
import { withTimeout } from './patience.js'
import type { Served, ServeOptions } from './server.js'

export type Transport = NonNullable<ServeOptions['transport']>

export function isHttp2(transport: Transport): boolean {
  return transport === 'http2' || transport === 'h2c'
}

export function stuck(served: Served, transport: Transport) {
  return isHttp2(transport) ? served.connectH2({ stuckBefore: 'body' }) : served.connect({ stuckBefore: 'body' })
}

/** The first client to leave, and the reason that the app is told. */
export function departures() {
  const { promise, resolve } = deferred<[SseClient, DisconnectReason]>()
  return {
    onDisconnect: (...departure: [SseClient, DisconnectReason]) => resolve(departure),
    left: () => withTimeout(promise, 'a client to leave')
  }
}
