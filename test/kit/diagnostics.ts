// Keeps the messages of a diagnostics channel.

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Test } from 'tap'
import type { SseDiagnostics } from '../../lib/index.js'
import { Watch } from './watch.js'

/** What a channel tells until the end of the test. */
export class Heard<Name extends keyof SseDiagnostics> {
  readonly messages: SseDiagnostics[Name][] = []
  readonly #watch = new Watch(() => `${this.messages.length} messages`)

  constructor(t: Test, name: Name) {
    const listener = (message: unknown) => {
      this.messages.push(message as SseDiagnostics[Name])
      this.#watch.changed()
    }
    subscribe(name, listener)
    t.teardown(() => unsubscribe(name, listener))
  }

  /** The message at an index, once it has come. */
  async at(index: number): Promise<SseDiagnostics[Name]> {
    return this.#watch.until(() => this.messages[index], `message ${index}`)
  }
}
