// Which requests may become clients, and which topics they may subscribe to. The answers to rejected requests are in
// rejection.ts.

import type { ServerHttp2Stream } from 'node:http2'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { InvalidOptionError, TopicForbiddenError } from '../api/errors.js'
import { isUnexpectedPromise } from '../api/input/checks.js'
import type { ResolvedOptions } from '../api/options.js'
import { IpLimit, type Slot } from '../hub/clients/ip-limit.js'
import type { Hub } from '../hub/hub.js'
import { checkSubscriptions, covers } from '../log/topic.js'
import { isHttp2 } from '../wire/response.js'
import { untilGone } from '../wire/response-end.js'
import { isAbandoned } from '../wire/server-connections.js'

/** The limit that a request is over. */
export type OverLimit = 'serverFull' | 'tooManyClients'

/** Checks requests against limits, and the topics that they ask for. */
export class Admission {
  readonly #hub: Hub
  readonly #options: ResolvedOptions
  readonly #slots: IpLimit
  /** Slots of pages over HTTP/2 that have not been sent completely. */
  readonly #pages = new Map<ServerHttp2Stream, Slot>()

  constructor(hub: Hub, options: ResolvedOptions) {
    this.#hub = hub
    this.#options = options
    this.#slots = new IpLimit(options.maxClientsPerIp)
  }

  /** Whether a request asks for topics at all. */
  asksForTopics(request: FastifyRequest): boolean {
    return (request.query as { topic?: unknown } | undefined)?.topic !== undefined
  }

  /**
   * Returns the topics of `?topic=a&topic=b` that the request may subscribe to.
   *
   * @throws InvalidTopicError (400) if one is invalid, or they are too many
   * @throws TopicForbiddenError (403) if none is allowed, and always without `authorizeTopics`
   */
  async topics(request: FastifyRequest): Promise<ReadonlySet<string>> {
    const { topic } = request.query as { topic: unknown }
    const wanted = new Set((Array.isArray(topic) ? topic : [topic]) as string[])
    try {
      checkSubscriptions(wanted, this.#options)
    } catch (error) {
      this.#hub.reject('invalidTopic')
      throw error
    }
    const granted = new Set(await this.#granted(request, [...wanted]))
    if (granted.size === 0) {
      this.#hub.reject('forbiddenTopic')
      throw new TopicForbiddenError()
    }
    return granted
  }

  /** Acquires a slot. @returns the slot, or the limit that the request is over */
  slot(request: FastifyRequest): Slot | OverLimit {
    const { maxClients, limitBy } = this.#options
    const { clients, longPolls } = this.#hub
    if (clients.population + longPolls.size >= maxClients) return 'serverFull'
    const key = limitBy === undefined ? undefined : checkKey(limitBy(request) || undefined)
    for (;;) {
      const slot = limitBy === undefined ? this.#slots.acquire(request.ip) : this.#slots.acquireKey(key)
      if (slot !== undefined) return slot
      if (!this.#releaseAbandoned()) return 'tooManyClients'
    }
  }

  /** Releases the slot of a page when it has been sent, or its client has gone. */
  releaseWithPage(slot: Slot, { raw: req }: FastifyRequest, { raw: res }: FastifyReply): void {
    const stream = isHttp2(res) ? res.stream : undefined
    if (stream !== undefined) this.#pages.set(stream, slot)
    untilGone(req, res, () => {
      if (stream !== undefined) this.#pages.delete(stream)
      slot.release()
    })
  }

  /** Releases the slots of pages that their clients have reset. @returns whether there were any */
  #releaseAbandoned(): boolean {
    const abandoned = [...this.#pages].filter(([stream]) => isAbandoned(stream))
    for (const [stream, slot] of abandoned) {
      this.#pages.delete(stream)
      slot.release()
    }
    return abandoned.length > 0
  }

  async #granted(request: FastifyRequest, wanted: string[]): Promise<readonly string[]> {
    const { authorizeTopics } = this.#options
    if (authorizeTopics === undefined) return []
    // A copy, since `authorizeTopics` may change what it gets.
    const allowed = await authorizeTopics(request, [...wanted])
    if (allowed === true) return wanted
    if (!Array.isArray(allowed)) return []
    return wanted.filter((topic) => allowed.some((pattern) => covers(pattern, topic)))
  }
}

/** Refuses keys that are no strings: a promise, for example, would be a new key for each request, and limit nobody. */
function checkKey(key: unknown): string | undefined {
  if (key === undefined || typeof key === 'string') return key
  const given = isUnexpectedPromise(key) ? 'a promise' : `a value of type ${typeof key}`
  throw new InvalidOptionError('limitBy', `a function that gives ${given}`, 'one that gives a string')
}
