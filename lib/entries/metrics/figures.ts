// The metrics of a hub: names, units, meanings, and where the values come from. They are registered in registered.ts
// (prom-client) and opentelemetry.ts.

import type { Sse, SseStats } from '../../api/api.js'
import type { SseDiagnostics } from '../../api/diagnostics.js'

/** A unit in OpenTelemetry's notation (UCUM): seconds, bytes, 0 or 1, or a number of something. */
export type Unit = 's' | 'By' | '1' | `{${string}}`

/** Fields of all metrics. */
interface Described {
  /** The name in OpenTelemetry's form, words with dots in between; without the unit. */
  readonly name: string
  readonly unit: Unit
  readonly help: string
}

/** A metric that is read when it is collected. */
export interface Figure extends Described {
  readonly kind: 'gauge' | 'counter'
  /** The label of values by name. */
  readonly label?: 'reason' | 'backplane'
  /** Returns one value, values by the label's values, or nothing if there is none at the moment. */
  read(stats: SseStats, sse: Sse): number | Readonly<Record<string, number>> | null | undefined
}

/** A metric whose values come as messages of a channel. */
export interface Distribution<Name extends keyof SseDiagnostics = keyof SseDiagnostics> extends Described {
  readonly channel: Name
  /** Upper bounds of its buckets. */
  readonly buckets: readonly number[]
  read(message: SseDiagnostics[Name]): number
}

export const FIGURES: readonly Figure[] = [
  {
    name: 'clients',
    kind: 'gauge',
    unit: '{client}',
    help: 'Streams that are open.',
    read: ({ connected }) => connected
  },
  {
    name: 'clients.accepted',
    kind: 'counter',
    unit: '{client}',
    help: 'Streams that were ever opened.',
    read: ({ accepted }) => accepted
  },
  {
    name: 'requests.rejected',
    kind: 'counter',
    unit: '{request}',
    label: 'reason',
    help: 'Requests for a stream or a page that were turned away, by reason.',
    read: ({ rejected }) => rejected
  },
  {
    name: 'events',
    kind: 'counter',
    unit: '{event}',
    help: 'Events in the log of this process, those of other processes included.',
    read: ({ events }) => events
  },
  {
    name: 'deliveries',
    kind: 'counter',
    unit: '{event}',
    help: 'Events written to clients: one that reaches ten clients counts ten times.',
    read: ({ deliveries }) => deliveries
  },
  {
    name: 'sent',
    kind: 'counter',
    unit: 'By',
    help: 'Bytes written to clients, before compression and without the framing of the transport.',
    read: ({ bytes }) => bytes
  },
  {
    name: 'events.dropped',
    kind: 'counter',
    unit: '{event}',
    help: 'Events that clients missed by reading too slowly.',
    read: ({ dropped }) => dropped
  },
  {
    name: 'resyncs',
    kind: 'counter',
    unit: '{event}',
    label: 'reason',
    help: 'Times that a client was told that it has missed events, by reason.',
    read: ({ resyncs }) => resyncs
  },
  {
    name: 'disconnects',
    kind: 'counter',
    unit: '{client}',
    label: 'reason',
    help: 'Streams that have ended, by reason.',
    read: ({ disconnects }) => disconnects
  },
  {
    name: 'slowest_lag_events',
    kind: 'gauge',
    unit: '{event}',
    help: 'Events by which the slowest client is behind.',
    read: ({ slowestLag }) => slowestLag
  },
  {
    name: 'ready',
    kind: 'gauge',
    unit: '1',
    help: 'Whether clients should be sent to this process: 1, or 0 while its backplane is out of reach or the app closes.',
    read: (_stats, { ready }) => Number(ready)
  },
  {
    name: 'history.events',
    kind: 'gauge',
    unit: '{event}',
    help: 'Events held for replay and for slow clients.',
    read: ({ history }) => history.events
  },
  {
    name: 'history',
    kind: 'gauge',
    unit: 'By',
    help: 'Bytes of the events held.',
    read: ({ history }) => history.bytes
  },
  {
    name: 'history.oldest_age',
    kind: 'gauge',
    unit: 's',
    help: 'How long ago the oldest event held came to this process; no value without one.',
    read: ({ history }) => seconds(history.oldestAge)
  },
  {
    name: 'backplane.connected',
    kind: 'gauge',
    unit: '1',
    label: 'backplane',
    help: 'Whether the engine of the backplane can be reached: 1 or 0; no value without a backplane.',
    read: ({ backplane }) => backplane && { [backplane.name]: Number(backplane.connected) }
  },
  {
    name: 'backplane.lag',
    kind: 'gauge',
    unit: 's',
    label: 'backplane',
    help: 'How old the newest event was when it was read from the backplane, by the clocks of both machines.',
    read: ({ backplane }) => {
      const lag = seconds(backplane?.lag)
      return lag === undefined ? undefined : { [backplane!.name]: lag }
    }
  },
  {
    name: 'backplane.pending_events',
    kind: 'gauge',
    unit: '{event}',
    label: 'backplane',
    help: 'Events that wait for the engine of the backplane.',
    read: ({ backplane }) => backplane && { [backplane.name]: backplane.pending }
  },
  {
    name: 'backplane.lost_events',
    kind: 'counter',
    unit: '{event}',
    label: 'backplane',
    help: 'Events that have not got to the engine of the backplane: refused, past the bound, or past publishTimeout.',
    read: ({ backplane }) => backplane && { [backplane.name]: backplane.lost }
  },
  {
    name: 'backplane.foreign_entries',
    kind: 'counter',
    unit: '{entry}',
    label: 'backplane',
    help: 'Entries of the backplane that were passed over, since this version does not know their format.',
    read: ({ backplane }) => backplane && { [backplane.name]: backplane.foreign }
  }
]

export const DISTRIBUTIONS: readonly Distribution[] = [
  distribution({
    name: 'opening.duration',
    unit: 's',
    help: 'Time from the request for a stream to its head.',
    channel: 'pylon-sse:client:connect',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    read: ({ opening }) => opening / 1000
  }),
  distribution({
    name: 'stream.duration',
    unit: 's',
    help: 'Time that streams were open, from the head to the end.',
    channel: 'pylon-sse:client:disconnect',
    buckets: [1, 5, 15, 60, 300, 900, 3600, 14_400, 43_200, 86_400],
    read: ({ duration }) => duration / 1000
  }),
  distribution({
    name: 'replay.events',
    unit: '{event}',
    help: 'Events that were there already for a client that came back, or asked for older ones.',
    channel: 'pylon-sse:client:replay',
    buckets: [0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10_000],
    read: ({ events }) => events
  }),
  distribution({
    name: 'flush.duration',
    unit: 's',
    help: 'Time that the flush of a shard kept the event loop busy.',
    channel: 'pylon-sse:shard:flush',
    buckets: [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1],
    read: ({ duration }) => duration / 1000
  }),
  distribution({
    name: 'delivery.delay',
    unit: 's',
    help: 'Time from the oldest broadcast in the flush of a shard to the write to the last of its clients.',
    channel: 'pylon-sse:shard:flush',
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
    read: ({ delay }) => delay / 1000
  })
]

/** Types the message that `read` gets by the channel. */
function distribution<Name extends keyof SseDiagnostics>(described: Distribution<Name>): Distribution {
  return described as unknown as Distribution
}

function seconds(ms: number | null | undefined): number | undefined {
  return ms === null || ms === undefined ? undefined : ms / 1000
}
