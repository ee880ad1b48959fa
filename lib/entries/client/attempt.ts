// One attempt to connect: from its request to the end of its stream, or of its pages. What follows is in connection.ts.

import type { Connection } from './connection.js'
import { SseError } from './errors.js'
import type { Transport } from './status.js'
import { streamParser } from './stream-parser.js'
import { Watchdog } from './watchdog.js'

/** Abort it with the reason that `run` shall resolve with. */
export class Attempt extends AbortController {
  readonly transport: Transport
  /** Whether an event has come, and the attempt has not ended. */
  isOpen = false
  /** Whether no byte of the stream has come in time: pages may get through. */
  isHeldBack = false
  readonly watchdog = new Watchdog(() => {
    this.isHeldBack = !this.isOpen && this.transport === 'stream'
    this.abort(new SseError('silent', `Nothing has come for ${this.watchdog.patience} ms.`))
  })
  readonly #connection: Connection

  constructor(connection: Connection, transport: Transport) {
    super()
    this.#connection = connection
    this.transport = transport
  }

  /**
   * Reads until nothing more comes, or the attempt is aborted.
   *
   * @returns why it has ended: what was thrown or aborted with; undefined if the stream has ended properly
   */
  async run(): Promise<unknown> {
    try {
      if (this.transport === 'stream') await this.#readStream()
      else await (await import('./pages.js')).readPages(this, this.#connection)
    } catch (error) {
      return this.signal.aborted ? this.signal.reason : error
    } finally {
      this.isOpen = false
      this.watchdog.stop()
    }
  }

  async #readStream(): Promise<void> {
    const { signal, watchdog } = this
    const { lastEventId, pause, requests, sink, subscriptions } = this.#connection
    const response = await requests.send(this, { lastEventId, tell: subscriptions.tell })
    const type = response.headers.get('content-type')
    if (!type?.startsWith('text/event-stream') || response.body === null) {
      throw new SseError('content-type', `The answer is no event stream, but ${response.body && type}.`, { response })
    }
    const parser = streamParser({
      onRetry: (ms) => {
        pause.least = ms
      },
      onSubscription: (topic, isSubscribed) => subscriptions.told(topic, isSubscribed),
      onEvent: (event) => this.#connection.receive(event, this)
    })
    const reader = response.body.getReader()
    const decoder = new TextDecoder()
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      watchdog.feed()
      parser.feed(decoder.decode(value, { stream: true }))
      const room = sink.room()
      if (room) {
        // Nothing is read meanwhile, so silence means nothing.
        watchdog.stop()
        await room
      }
      if (signal.aborted) throw signal.reason
      if (room) watchdog.watch()
    }
  }
}
