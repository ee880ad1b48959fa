// Backups of a server's files.

import { cp, mkdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** What a server has on disk, as it was at some time: a backup. */
export class KeptData {
  readonly #folder: string
  readonly #copy: string

  private constructor(folder: string) {
    this.#folder = folder
    this.#copy = join(dirname(folder), 'kept')
  }

  /** Copies a folder to one beside it. */
  static async of(folder: string): Promise<KeptData> {
    const kept = new KeptData(folder)
    await rm(kept.#copy, { recursive: true, force: true })
    await cp(folder, kept.#copy, { recursive: true })
    return kept
  }

  /** Puts it back, while the server does not run. */
  async restore(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true })
    await mkdir(this.#folder)
    await cp(this.#copy, this.#folder, { recursive: true })
  }
}
