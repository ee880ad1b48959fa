// Decodes a compressed stream for the test client.

import { constants, createGunzip } from 'node:zlib'

/** Where the decoded bytes go. */
interface Receiver {
  receive(bytes: Buffer): void
  finish(): void
  fail(error: Error): void
}

/**
 * Decodes a gzip body while it arrives, as a browser does: what was flushed is available at once, and the end is
 * checked.
 */
export class Gunzip {
  readonly #gunzip = createGunzip({ finishFlush: constants.Z_FINISH })
  readonly #receiver: Receiver
  #underway = 0
  #whenIdle: (() => void) | undefined

  constructor(receiver: Receiver) {
    this.#receiver = receiver
    this.#gunzip.on('data', (bytes: Buffer) => receiver.receive(bytes))
    this.#gunzip.on('error', (error) => {
      receiver.fail(error)
      this.#whenIdle?.()
    })
  }

  push(bytes: Uint8Array): void {
    this.#underway++
    this.#gunzip.write(bytes, () => this.#through())
  }

  end(): void {
    this.#underway++
    this.#gunzip.once('end', () => {
      this.#receiver.finish()
      this.#through()
    })
    this.#gunzip.end()
  }

  /** Calls back once everything that has come is decoded. */
  whenIdle(callback: () => void): void {
    this.#whenIdle = callback
    if (this.#underway === 0 || this.#gunzip.destroyed) callback()
  }

  #through(): void {
    if (--this.#underway === 0) this.#whenIdle?.()
  }
}
