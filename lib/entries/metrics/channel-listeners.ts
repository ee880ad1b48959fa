// Subscriptions to the diagnostics channels, which end together. The messages are described in api/diagnostics.ts.

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { SseDiagnostics } from '../../api/diagnostics.js'

type Listener = (message: unknown) => void

/** A set of subscriptions to diagnostics channels. */
export class ChannelListeners {
  readonly #listeners: [name: string, listener: Listener][] = []

  on<Name extends keyof SseDiagnostics>(name: Name, listener: (message: SseDiagnostics[Name]) => void): void {
    subscribe(name, listener as Listener)
    this.#listeners.push([name, listener as Listener])
  }

  close(): void {
    for (const [name, listener] of this.#listeners.splice(0)) unsubscribe(name, listener)
  }
}
