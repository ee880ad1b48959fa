import { AsyncResource } from 'node:async_hooks'
import type { FastifyRequest } from 'fastify'
import { guardedLogger, type Logger } from '../api/input/logger.js'

/** What Fastify keeps the `AbortController` of `request.signal` under. It is made when the app first asks for it. */
const SIGNAL = 'fastify.request.signal'
let signalKey: symbol | undefined

/**
 * A client's own request, as far as the client's life goes: the context (AsyncLocalStorage) in which the app's callbacks
 * run, and `request.signal`, which Fastify ceases to look after where a response is taken over.
 */
export class RequestScope {
  readonly #request: FastifyRequest
  /** Made where something may have to run in it later: it is most of what a scope costs. */
  #resource: AsyncResource | undefined

  /** @param runs whether the app has callbacks for later */
  constructor(request: FastifyRequest, runs: boolean) {
    this.#request = request
    if (runs) this.#resource = new AsyncResource('SseClient')
  }

  /** Keeps the context of whoever calls, where listeners of the signal will run in it. */
  keep(): void {
    if (controllerOf(this.#request) !== undefined) this.#resource ??= new AsyncResource('SseClient')
  }

  /** The request's own logger, whose lines carry its id. */
  get log(): Logger {
    return guardedLogger(this.#request.log)
  }

  /** Runs a callback in the request's context, where one has been kept. */
  run<Result>(callback: () => Result): Result {
    return this.#resource === undefined ? callback() : this.#resource.runInAsyncScope(callback)
  }

  /** Aborts `request.signal`. Its listeners are the app's code: what they throw Node reports as uncaught by itself. */
  abort(): void {
    const controller = controllerOf(this.#request)
    if (controller !== undefined && !controller.signal.aborted) this.run(() => controller.abort())
  }
}

function controllerOf(request: FastifyRequest): AbortController | undefined {
  signalKey ??= Object.getOwnPropertySymbols(request).find(({ description }) => description === SIGNAL)
  if (signalKey === undefined) return undefined
  return (request as unknown as Record<symbol, AbortController | undefined>)[signalKey] ?? undefined
}
