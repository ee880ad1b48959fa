// Waits for the messages that this process has published to be read back from the log.

import { within } from './within.js'

/** The messages of this process that are expected to be read back. */
export class Echoes {
  readonly #expected = new Map<string, (cursor: string) => void>()

  /** Starts to wait for a message. Called before it is published. */
  expect(messageId: string): Echo {
    const heard = new Promise<string>((resolve) => this.#expected.set(messageId, resolve))
    return {
      cursor: (ms) => within(ms, heard).catch(() => undefined),
      forget: () => {
        this.#expected.delete(messageId)
      }
    }
  }

  hear(messageId: string, cursor: string): void {
    this.#expected.get(messageId)?.(cursor)
  }
}

export interface Echo {
  /** Resolves with the cursor at which the message was read first; with undefined if it has not been read after `ms`. */
  cursor(ms: number): Promise<string | undefined>
  forget(): void
}
