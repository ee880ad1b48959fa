// The parts of a request that live as long as its client: the async context, `request.signal`, and the logger.

import { AsyncResource } from 'node:async_hooks'
import { EventEmitter } from 'node:events'
import type { FastifyRequest } from 'fastify'
import { GuardedLogger, type Logger } from '../api/input/logger.js'

/**
 * The key under which Fastify keeps the `AbortController` of `request.signal`, which it creates when the app first uses
 * it; by the prototype of requests. Null if this version of Fastify has no `request.signal`.
 */
const signalKeys = new WeakMap<object, symbol | null>()

/**
 * The parts of a request that live as long as its client: the context (AsyncLocalStorage) in which callbacks of the app
 * run, and `request.signal`, which Fastify no longer aborts once the response is taken over.
 */
export class RequestScope {
  readonly #request: FastifyRequest
  /** Created only if something may have to run in it later: it is most of the cost of a scope. */
  #resource: AsyncResource | undefined

  /** @param runs whether the app has callbacks that run later */
  constructor(request: FastifyRequest, runs: boolean) {
    this.#request = request
    if (runs) this.#resource = new AsyncResource('SseClient')
  }

  /** Keeps the current context if `request.signal` is in use, whose listeners run in it. */
  keep(): void {
    if (controllerOf(this.#request) !== undefined) this.#resource ??= new AsyncResource('SseClient')
  }

  /** The request's own logger, whose lines carry its id. */
  get log(): Logger {
    return new GuardedLogger(this.#request.log)
  }

  /** Runs a callback in the request's context, if it has been kept. */
  run<Result>(callback: () => Result): Result {
    return this.#resource === undefined ? callback() : this.#resource.runInAsyncScope(callback)
  }

  /** Aborts `request.signal`. Its listeners are code of the app; Node reports what they throw as uncaught. */
  abort(): void {
    const controller = controllerOf(this.#request)
    if (controller !== undefined && !controller.signal.aborted) this.run(() => controller.abort())
  }
}

function controllerOf(request: FastifyRequest): AbortController | undefined {
  const prototype = Object.getPrototypeOf(request)
  let key = signalKeys.get(prototype)
  if (key === undefined) {
    key = findSignalKey(prototype)
    signalKeys.set(prototype, key)
  }
  return key === null ? undefined : (request as unknown as Controllers)[key]
}

/** Uses the signal of a stand-in for a request, and looks for what that has added. */
function findSignalKey(prototype: object): symbol | null {
  const standIn = Object.create(prototype, { raw: { value: new EventEmitter() } })
  void standIn.signal
  return Object.getOwnPropertySymbols(standIn).find((key) => standIn[key] instanceof AbortController) ?? null
}

type Controllers = Record<symbol, AbortController | undefined>
