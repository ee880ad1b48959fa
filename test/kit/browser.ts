// EventSources in pages of real browsers.

import { EventSource, type EventSourceFetchInit } from 'eventsource'
import type { Test } from 'tap'
import { Watch } from './watch.js'

/** An EventSource that keeps what it was told, until the end of the test. */
export class Browser {
  readonly messages: MessageEvent[] = []
  /** How it was answered, request by request. */
  readonly answers: Response[] = []
  readonly source: EventSource
  readonly #watch = new Watch(
    () => `answers ${this.answers.map(({ status }) => status)}, data ${JSON.stringify(this.data)}`
  )

  constructor(t: Test, url: string, headers: Record<string, string> = {}) {
    const fetching = async (url: string | URL, init: EventSourceFetchInit) => {
      const answer = await fetch(url, { ...init, headers: { ...init.headers, ...headers } } as RequestInit)
      this.answers.push(answer)
      this.#watch.changed()
      return answer
    }
    this.source = new EventSource(url, { fetch: fetching })
    for (const type of ['open', 'error']) this.source.addEventListener(type, () => this.#watch.changed())
    for (const type of ['message', 'resync']) {
      this.source.addEventListener(type, (message) => {
        this.messages.push(message as MessageEvent)
        this.#watch.changed()
      })
    }
    t.teardown(() => this.source.close())
  }

  get data(): string[] {
    return this.messages.map(({ data }) => data)
  }

  get statuses(): number[] {
    return this.answers.map(({ status }) => status)
  }

  waitForAnswers(n: number): Promise<true> {
    return this.#watch.until(() => this.answers.length >= n || undefined, `${n} answers`)
  }

  waitForData(data: string): Promise<true> {
    return this.#watch.until(() => this.data.includes(data) || undefined, `data ${data}`)
  }

  /** It has given up for good, as it does after any answer but a stream. */
  waitForClosed(): Promise<true> {
    return this.#watch.until(() => this.source.readyState === EventSource.CLOSED || undefined, 'it to give up')
  }
}
