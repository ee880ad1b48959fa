// Commands for several clients at once: disconnect, subscribe, unsubscribe, send. How they reach other processes is in
// backplane/command-format.ts.

import type { CloseOptions, SendOptions, SseClient } from '../../api/api.js'
import { InvalidOptionError } from '../../api/errors.js'
import { isUnexpectedPromise } from '../../api/input/checks.js'
import { checkCloseOptions } from '../../api/input/option-checks.js'
import type { Command, Order } from '../../backplane/command-format.js'
import { type ClientSelector, checkSelector, picks } from '../../backplane/selector.js'
import { OwnChunk } from '../../log/chunk.js'
import type { EventEncoder } from '../../log/event-encoder.js'
import { checkSubscriptions, type SubscriptionLimits } from '../../log/topic.js'
import type { Client } from './client.js'
import { logFields } from './clients.js'

/** Selects clients: a selector on all processes, a function on this process. */
export type Who = ClientSelector | ((client: SseClient) => boolean)

/**
 * Applies commands to several clients. A command with a selector also goes to the other processes.
 *
 * With a backplane, `subscribe` and `send` take effect when the command comes back from the engine, so that they apply
 * between the same two events on every process. `disconnect` and `unsubscribe` take effect at once on this process.
 */
export class Commands {
  readonly #clients: Iterable<Client>
  readonly #encoder: EventEncoder
  readonly #limits: SubscriptionLimits
  readonly #tell: (order: Order) => boolean

  /** @param tell sends an order to all processes, this one included; returns false without a backplane */
  constructor(
    clients: Iterable<Client>,
    encoder: EventEncoder,
    limits: SubscriptionLimits,
    tell: (order: Order) => boolean
  ) {
    this.#clients = clients
    this.#encoder = encoder
    this.#limits = limits
    this.#tell = tell
  }

  /** As `Sse.disconnect`. */
  disconnect(who: Who, options?: CloseOptions): number {
    return this.#give(who, { kind: 'disconnect', options: checkCloseOptions(options) }, true)
  }

  /** As `Sse.subscribe`. */
  subscribe(who: Who, topic: string): number {
    checkSubscriptions(new Set([topic]), this.#limits)
    return this.#give(who, { kind: 'subscribe', topic }, false)
  }

  /** As `Sse.unsubscribe`. */
  unsubscribe(who: Who, topic: string): number {
    checkSubscriptions(new Set([topic]), this.#limits)
    return this.#give(who, { kind: 'unsubscribe', topic }, true)
  }

  /** As `Sse.send`. */
  send(who: Who, data: unknown, options?: SendOptions): number {
    return this.#give(who, { kind: 'send', frame: this.#encoder.encodeDirect(data, options) }, false)
  }

  /** Applies an order of any process to the clients of this one. */
  execute({ selector, command }: Order): void {
    apply(command, this.#picked(selector))
  }

  #give(who: Who, command: Command, isAtOnce: boolean): number {
    if (typeof who === 'function') return apply(command, this.#pickedBy(who))
    const selector = checkSelector(who)
    const comesBack = this.#tell({ selector, command })
    const picked = this.#picked(selector)
    return comesBack && !isAtOnce ? picked.length : apply(command, picked)
  }

  #picked(selector: ClientSelector): Client[] {
    return [...this.#clients].filter((client) => picks(selector, client))
  }

  #pickedBy(predicate: (client: SseClient) => boolean): Client[] {
    return [...this.#clients].filter((client) => {
      const answer: unknown = predicate(client)
      // A promise is truthy, and would select every client.
      if (isUnexpectedPromise(answer))
        throw new InvalidOptionError('predicate', 'a function that gives a promise', 'one that gives a boolean')
      return answer
    })
  }
}

/** @returns the number of clients that it was applied to */
function apply(command: Command, clients: readonly Client[]): number {
  if (command.kind === 'send') {
    const chunk = new OwnChunk(command.frame)
    return clients.filter((client) => client.deliver(chunk)).length
  }
  return clients.filter((client) => {
    if (command.kind === 'subscribe') return subscribe(client, command.topic)
    if (command.kind === 'disconnect') client.close(command.options)
    else client.unsubscribe(command.topic)
    return true
  }).length
}

/** A client that has `maxTopics` already must not keep the others from being subscribed. */
function subscribe(client: Client, topic: string): boolean {
  try {
    client.subscribe(topic)
    return true
  } catch (err) {
    client.scope.log.warn(
      { err, topic, ...logFields(client) },
      'SSE: a client that a selector picks cannot be subscribed'
    )
    return false
  }
}
