import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Test } from 'tap'

const LIB = new URL('../../lib/index.js', import.meta.url).href

/** The code of a page of docs: its blocks whose first line names a file. */
export class Recipes {
  readonly files: Record<string, string>
  readonly #folder: string

  private constructor(files: Record<string, string>, folder: string) {
    this.files = files
    this.#folder = folder
  }

  /** Puts the files into a folder of the test. They run as they stand there, but against the source of the package. */
  static async of(t: Test, page: string): Promise<Recipes> {
    const text = await readFile(new URL(`../../docs/${page}`, import.meta.url), 'utf8')
    const files: Record<string, string> = {}
    for (const [, code, name] of text.matchAll(/```js\n(\/\/ (\S+\.js)\n.*?)```/gs)) files[name!] = code!
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
