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

/** What keeps a request from becoming a client for now. */
export type OverLimit = 'serverFull' | 'tooManyClients'

/** Decides who may come in, and what they may hear. */
export class Admission {
  readonly #hub: Hub
  readonly #options: ResolvedOptions
  readonly #slots: IpLimit
  /** Slots of pages over HTTP/2 that are not out yet. */
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
   * The topics of `?topic=a&topic=b` that the request may hear.
   *
   * @throws InvalidTopicError (400) when one is none, or they are too many
   * @throws TopicForbiddenError (403) when none is allowed, and always without `authorizeTopics`
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

  /** Takes a slot. @returns the limit that is reached, where there is none left */
  slot(request: FastifyRequest): Slot | OverLimit {
    const { maxClients, limitBy } = this.#options
    const { clients, longPolls } = this.#hub
    if (clients.population + longPolls.size >= maxClients) return 'serverFull'
    const key = limitBy === undefined ? undefined : checkKey(limitBy(request) || undefined)
    const take = () => (limitBy === undefined ? this.#slots.acquire(request.ip) : this.#slots.acquireKey(key))
    return take() ?? (this.#releaseAbandoned() ? take() : undefined) ?? 'tooManyClients'
  }

  /** Has a page give its slot back when it is out, or its client has gone. */
  releaseWithPage(slot: Slot, { raw: req }: FastifyRequest, { raw: res }: FastifyReply): void {
    const stream = isHttp2(res) ? res.stream : undefined
    if (stream !== undefined) this.#pages.set(stream, slot)
    untilGone(req, res, () => {
      if (stream !== undefined) this.#pages.delete(stream)
      slot.release()
    })
  }

  /** @returns whether there were any */
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
    // A copy: what it is asked about is not what it may change.
    const allowed = await authorizeTopics(request, [...wanted])
    if (allowed === true) return wanted
    if (!Array.isArray(allowed)) return []
    return wanted.filter((topic) => allowed.some((pattern) => covers(pattern, topic)))
  }
}

/** A promise, say, would be another key for each request, and limit nobody. */
function checkKey(key: unknown): string | undefined {
  if (key === undefined || typeof key === 'string') return key
  const given = isUnexpectedPromise(key) ? 'a promise' : `a value of type ${typeof key}`
  throw new InvalidOptionError('limitBy', `a function that gives ${given}`, 'one that gives a string')
}
