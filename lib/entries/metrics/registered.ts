// The metrics of hubs in a registry of prom-client. The plugin is in metrics.ts.

import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { Sse, SseStats } from '../../api/api.js'
import { InvalidOptionError } from '../../api/errors.js'
import { ChannelListeners } from './channel-listeners.js'
import { DISTRIBUTIONS, type Distribution, FIGURES, type Figure, type Unit } from './figures.js'

/** The label that tells the values of hubs apart. */
const HUB = 'hub'
/** Suffixes of names for base units (Prometheus naming convention). */
const SUFFIXES: Readonly<Partial<Record<Unit, string>>> = { s: '_seconds', By: '_bytes' }

/** The metrics of a registry, by prefix. */
const known = new WeakMap<Registry, Map<string, RegisteredMetrics>>()

/**
 * The metrics of one registry with one prefix, for all hubs that have been added. They leave the registry with the last
 * hub.
 */
export class RegisteredMetrics {
  readonly #registry: Registry
  readonly #prefix: string
  readonly #hubs = new Map<Sse, string>()
  readonly #names: string[] = []
  readonly #listeners = new ChannelListeners()
  /** Stats of the hubs, read once for all metrics that are collected together. */
  #stats: Map<Sse, SseStats> | undefined

  private constructor(registry: Registry, prefix: string) {
    this.#registry = registry
    this.#prefix = prefix
    for (const figure of FIGURES) this.#register(figure)
    for (const distribution of DISTRIBUTIONS) this.#observe(distribution)
  }

  /** Returns the metrics of a registry, creating them if there are none. */
  static of(registry: Registry, prefix: string): RegisteredMetrics {
    const byPrefix = known.get(registry) ?? new Map<string, RegisteredMetrics>()
    known.set(registry, byPrefix)
    const metrics = byPrefix.get(prefix) ?? new RegisteredMetrics(registry, prefix)
    byPrefix.set(prefix, metrics)
    return metrics
  }

  /** @throws InvalidOptionError if another hub has the name */
  add(sse: Sse, hub: string): void {
    if ([...this.#hubs.values()].includes(hub)) {
      throw new InvalidOptionError('hub', `is '${hub}', which the registry has already; set another one`)
    }
    this.#hubs.set(sse, hub)
  }

  remove(sse: Sse): void {
    this.#hubs.delete(sse)
    if (this.#hubs.size > 0) return
    this.#listeners.close()
    for (const name of this.#names) this.#registry.removeSingleMetric(name)
    known.get(this.#registry)!.delete(this.#prefix)
  }

  #register(figure: Figure): void {
    const { kind, label, help } = figure
    const collect = (set: (labels: Record<string, string>, value: number) => void) => {
      for (const [sse, hub] of this.#hubs) {
        const value = figure.read(this.#statsOf(sse), sse)
        if (typeof value === 'number') set({ hub }, value)
        else for (const [of, each] of Object.entries(value ?? {})) set({ hub, [label!]: of }, each)
      }
    }
    const name = this.#nameOf(figure, kind === 'counter' ? '_total' : '')
    const described = {
      name,
      help,
      labelNames: label === undefined ? [HUB] : [HUB, label],
      registers: [this.#registry]
    }
    if (kind === 'gauge') {
      new Gauge({
        ...described,
        collect() {
          this.reset()
          collect((labels, value) => this.set(labels, value))
        }
      })
    } else {
      new Counter({
        ...described,
        collect() {
          this.reset()
          collect((labels, value) => this.inc(labels, value))
        }
      })
    }
  }

  #observe(distribution: Distribution): void {
    const { help, buckets, channel, read } = distribution
    const name = this.#nameOf(distribution)
    const described = { name, help, labelNames: [HUB], buckets: [...buckets], registers: [this.#registry] }
    const histogram = new Histogram(described)
    this.#listeners.on(channel, (message) => {
      const hub = this.#hubs.get(message.sse)
      if (hub !== undefined) histogram.observe({ hub }, read(message))
    })
  }

  #statsOf(sse: Sse): SseStats {
    if (this.#stats === undefined) {
      this.#stats = new Map()
      queueMicrotask(() => {
        this.#stats = undefined
      })
    }
    const stats = this.#stats.get(sse) ?? sse.stats()
    this.#stats.set(sse, stats)
    return stats
  }

  #nameOf({ name, unit }: { name: string; unit: Unit }, suffix = ''): string {
    const full = `${this.#prefix}${name.replaceAll('.', '_')}${SUFFIXES[unit] ?? ''}${suffix}`
    this.#names.push(full)
    return full
  }
}
