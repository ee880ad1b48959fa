// The counters of a hub, which `app.sse.stats()` returns. Their names as metrics are in entries/metrics/figures.ts.

import type { BackplaneStats, HistoryStats, SseStats } from '../../api/api.js'
import type { DisconnectReason, RejectReason, ResyncReason } from '../../api/errors.js'

/** The counters of a hub, which its parts increment. */
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
    completed: 0,
    shutdown: 0,
    overflow: 0,
    stalled: 0,
    expired: 0,
    aged: 0,
    error: 0
  }

  /** Returns a copy of all counters, with the gauges. */
  snapshot(connected: number, slowestLag: number, history: HistoryStats, backplane: BackplaneStats | null): SseStats {
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
      history,
      backplane: backplane && { ...backplane }
    }
  }
}
