// Statistics of the clients, for `stats()` and for the dashboard, which takes a snapshot every second.

import type { Client } from './client.js'
import type { ShardCohort } from './cohort.js'
import type { Shard } from './shard.js'

/** Statistics of all clients. Their cost depends on the number of cohorts and of slow clients, not on the number of clients. */
export class Census {
  readonly #shards: readonly Shard[]

  constructor(shards: readonly Shard[]) {
    this.#shards = shards
  }

  /** Number of subscribers by topic and pattern. */
  topics(): Map<string, number> {
    const counts = new Map<string, number>()
    for (const { audience, size } of this.#cohorts()) {
      for (const topic of audience.patterns) counts.set(topic, (counts.get(topic) ?? 0) + size)
    }
    return counts
  }

  /** Returns the slowest clients first, `max` at most. */
  slowest(max: number): { client: Client; lag: number }[] {
    const clients: Client[] = []
    let live = 0
    for (const cohort of this.#cohorts()) {
      for (const client of cohort.behind) clients.push(client)
      // Which ones does not matter: all live clients are at the head of the log, or will be after the next flush.
      const some = cohort.someLive(max - live)
      live += some.length
      clients.push(...some)
    }
    const byLag = clients.map((client) => ({ client, lag: client.lag })).sort((a, b) => b.lag - a.lag)
    return byLag.slice(0, max)
  }

  /** Number of events by which the slowest client is behind. */
  get slowestLag(): number {
    let slowest = 0
    for (const cohort of this.#cohorts()) slowest = Math.max(slowest, cohort.slowestLag)
    return slowest
  }

  *#cohorts(): Generator<ShardCohort> {
    for (const shard of this.#shards) yield* shard.cohorts
  }
}
