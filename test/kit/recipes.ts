// Loads the programs of docs/examples into the process of a test.

import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Test } from 'tap'
import { exampleFile } from './example.js'

const LIB = new URL('../../lib/index.js', import.meta.url).href

/** The files of an example, to be loaded one by one. */
export class Recipes {
  readonly files: Record<string, string>
  readonly #folder: string

  private constructor(files: Record<string, string>, folder: string) {
    this.files = files
    this.#folder = folder
  }

  /** Puts the files into a folder of the test. They run as they stand there, but against the source of the package. */
  static async of(t: Test, example: string): Promise<Recipes> {
    const folder = exampleFile(example)
    const files: Record<string, string> = {}
    for (const name of await readdir(folder)) files[name] = await readFile(join(folder, name), 'utf8')
    const runnable = Object.entries(files).map(([name, code]) => [
      name,
      code.replace(/(?<=from )'pylon-sse'/, `'${LIB}'`)
    ])
    return new Recipes(files, t.testdir(Object.fromEntries(runnable)))
  }

  async load<Module>(name: string): Promise<Module> {
    return import(pathToFileURL(join(this.#folder, name)).href)
  }
}
