// Compiles TypeScript programs, such as the recipes.

import { join, relative } from 'node:path'
import ts from 'typescript'
import { exampleFile } from './example.js'

/**
 * Compiles examples by what their tsconfig.json say, all in one run, since what they import is the same and takes the
 * most time. Resolves with what the compiler has to say.
 */
export function compileExamples(outDir: string, ...names: string[]): string[] {
  let all: ts.CompilerOptions = {}
  const files: string[] = []
  for (const name of names) {
    const folder = exampleFile(name)
    const { config } = ts.readConfigFile(join(folder, 'tsconfig.json'), ts.sys.readFile)
    const { options, fileNames } = ts.parseJsonConfigFileContent(config, ts.sys, folder)
    all = { ...all, ...options }
    files.push(...fileNames)
  }
  const rootDir = exampleFile('.')
  const program = ts.createProgram(files, { ...all, rootDir, outDir })
  const { diagnostics } = program.emit()
  return [...ts.getPreEmitDiagnostics(program), ...diagnostics].map(({ file, messageText }) => {
    const text = ts.flattenDiagnosticMessageText(messageText, '\n')
    return file === undefined ? text : `${relative(rootDir, file.fileName)}: ${text}`
  })
}
