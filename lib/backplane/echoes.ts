import { within } from './within.js'

/** What a process reads of what it has published itself. */
export class Echoes {
  readonly #expected = new Map<string, (cursor: string) => void>()

  /** Begins to listen for a message that will be published. */
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
  /** The place where the message was read first; nothing where it was not after `ms`. */
  cursor(ms: number): Promise<string | undefined>
  forget(): void
}
