import type { Client } from './client.js'
import type { ShardCohort } from './cohort.js'
import type { Shard } from './shard.js'

/** Who is here, at a glance: it costs what the cohorts and the clients that are behind do, and not what all clients do. */
export class Census {
  readonly #shards: readonly Shard[]

  constructor(shards: readonly Shard[]) {
    this.#shards = shards
  }

  /** Subscribers of each topic and pattern. */
  topics(): Map<string, number> {
    const counts = new Map<string, number>()
    for (const { audience, size } of this.#cohorts()) {
      for (const topic of audience.patterns) counts.set(topic, (counts.get(topic) ?? 0) + size)
    }
    return counts
  }

  /** So many clients, the slowest first. */
  slowest(max: number): { client: Client; lag: number }[] {
    const clients: Client[] = []
    let live = 0
    for (const cohort of this.#cohorts()) {
      for (const client of cohort.behind) clients.push(client)
      // One of them is as good as another: they are all at the head of the log, or soon will be.
      const some = cohort.someLive(max - live)
      live += some.length
      clients.push(...some)
    }
    const byLag = clients.map((client) => ({ client, lag: client.lag })).sort((a, b) => b.lag - a.lag)
    return byLag.slice(0, max)
  }

  *#cohorts(): Generator<ShardCohort> {
    for (const shard of this.#shards) yield* shard.cohorts
  }
}
