import type { DisconnectReason, RejectReason, ResyncReason } from './errors.js'
import type { BackplaneStats } from './shared-log.js'

/** Figures of one hub, on this process. Counters count from the start; gauges say what is now. */
export interface SseStats {
  /** Clients connected. Gauge. */
  connected: number
  /** Clients that were ever connected. */
  accepted: number
  /** Requests that did not become clients, by reason. */
  rejected: Record<RejectReason, number>
  /** Events broadcast. */
  events: number
  /** Events written to clients: an event that reaches ten clients counts ten times. */
  deliveries: number
  /** Bytes written to clients, before compression and without the transport's framing. */
  bytes: number
  /** Events that clients missed by being too slow. */
  dropped: number
  /** `resync` events sent, by reason. */
  resyncs: Record<ResyncReason, number>
  /** Clients that have gone, by reason. */
  disconnects: Record<DisconnectReason, number>
  /** Events by which the slowest client is behind. Gauge. */
  slowestLag: number
  /** How the backplane does; `null` without one. */
  backplane: BackplaneStats | null
}

/** The counters. One object, that the parts count into. */
export class Counters {
  accepted = 0
  readonly rejected: Record<RejectReason, number> = {
    notAcceptable: 0,
    invalidTopic: 0,
    forbiddenTopic: 0,
    tooManyClients: 0,
    serverFull: 0,
    closing: 0,
    failed: 0
  }
  events = 0
  deliveries = 0
  bytes = 0
  dropped = 0
  readonly resyncs: Record<ResyncReason, number> = { overflow: 0, expired: 0, unknown: 0, backplane: 0 }
  readonly disconnects: Record<DisconnectReason, number> = {
    disconnected: 0,
    closed: 0,
    shutdown: 0,
    overflow: 0,
    stalled: 0,
    expired: 0,
    aged: 0,
    error: 0
  }

  /** A copy of all of them, with the gauges. */
  snapshot(connected: number, slowestLag: number, backplane: BackplaneStats | null): SseStats {
    const { accepted, rejected, events, deliveries, bytes, dropped, resyncs, disconnects } = this
    return {
      connected,
      accepted,
      rejected: { ...rejected },
      events,
      deliveries,
      bytes,
      dropped,
      resyncs: { ...resyncs },
      disconnects: { ...disconnects },
      slowestLag,
      backplane: backplane && { ...backplane }
    }
  }
}
