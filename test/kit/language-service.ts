// The language service of TypeScript, for tests of what editors show.

import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const FIXTURES = `${ROOT}test/fixtures/`
const CODE = `${FIXTURES}code.ts`
/** Parses what several services import once. */
const documents = ts.createDocumentRegistry()
const { config } = ts.readConfigFile(`${ROOT}tsconfig.json`, ts.sys.readFile)
const { options } = ts.parseJsonConfigFileContent(config, ts.sys, ROOT)

/**
 * What an editor and the compiler say of users' code: of fixtures, and of some lines of code beside them. All of it is one
 * program, since what an app declares of the package holds for all of it, and since making a program takes seconds.
 */
export class LanguageService {
  readonly #code: string
  readonly #service: ts.LanguageService

  constructor(fixtures: readonly string[], lines: readonly string[] = []) {
    this.#code = lines.join('\n')
    const roots = [...fixtures.map((name) => FIXTURES + name), `${ROOT}lib/log/qlobber.d.ts`, CODE]
    const read = (path: string) => (path === CODE ? this.#code : ts.sys.readFile(path))
    const host: ts.LanguageServiceHost = {
      getCompilationSettings: () => ({ ...options, paths: { 'pylon-sse': [`${ROOT}lib/index.ts`] } }),
      getScriptFileNames: () => roots,
      getScriptVersion: () => '',
      getScriptSnapshot: (path) => {
        const text = read(path)
        return text === undefined ? undefined : ts.ScriptSnapshot.fromString(text)
      },
      getCurrentDirectory: () => ROOT,
      getDefaultLibFileName: ts.getDefaultLibFilePath,
      fileExists: (path) => path === CODE || ts.sys.fileExists(path),
      readFile: read,
      directoryExists: ts.sys.directoryExists,
      getDirectories: ts.sys.getDirectories
    }
    this.#service = ts.createLanguageService(host, documents)
  }

  /** What the compiler says of a fixture, each message after the number of its line. */
  checkFixture(name: string): string[] {
    return this.#check(FIXTURES + name).map(({ line, message }) => `${line + 1}: ${message}`)
  }

  /** What the compiler says of the lines, in order. */
  checkLines(): string[][] {
    const messages: string[][] = this.#code.split('\n').map(() => [])
    for (const { line, message } of this.#check(CODE)) messages[line]!.push(message)
    return messages
  }

  /** The names that an editor offers where the comment `/**\/` stands in a line. */
  completions(line: string): string[] {
    return (this.#service.getCompletionsAtPosition(CODE, this.#marker(line), {})?.entries ?? []).map(({ name }) => name)
  }

  /** What an editor shows of the name before the comment `/**\/` in a line. */
  hover(line: string): string {
    return ts.displayPartsToString(this.#service.getQuickInfoAtPosition(CODE, this.#marker(line) - 1)?.displayParts)
  }

  #marker(line: string): number {
    return this.#code.indexOf(line) + line.indexOf('/**/')
  }

  #check(path: string): { line: number; message: string }[] {
    const all = [...this.#service.getSyntacticDiagnostics(path), ...this.#service.getSemanticDiagnostics(path)]
    return all.map(({ file, start = 0, messageText }) => ({
      line: file!.getLineAndCharacterOfPosition(start).line,
      message: ts.flattenDiagnosticMessageText(messageText, '\n')
    }))
  }
}
