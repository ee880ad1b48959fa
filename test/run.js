// Runs tap on all tests, or on the files that are named. Starting a process takes longer than running most files, so each
// file of test/together/ imports some and runs them in one process. Where a program that some tests need is missing, those
// tests are skipped: coverage is left out, since it would be incomplete, and the last line says what was not tried. With
// CI=true nothing may be skipped.
import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'

const BUILT = new URL('../.tap/plugins/built', import.meta.url)
const needed = readFileSync(new URL('programs.txt', import.meta.url), 'utf8')
  .trim()
  .split('\n')
const missing = needed.map((line) => line.split(' ')).filter(([program]) => !isInPath(program))
const isComplete = process.env.CI === 'true' || missing.length === 0
const coverage = isComplete ? [] : ['--disable-coverage']
// tap builds the plugins that .taprc names. A run that has to build them first does not use them yet.
if (!existsSync(BUILT)) {
  runTap('build')
  writeFileSync(BUILT, '')
}
const args = process.argv.slice(2)
const files = args.every((arg) => arg.startsWith('-')) ? allTests() : []
const status = runTap('run', ...coverage, ...args, ...files)

if (!isComplete) {
  const programs = missing.map(([program]) => program).join(', ')
  const packages = [...new Set(missing.map(([, debianPackage]) => debianPackage))].join(' ')
  console.log(`Not tried, nor coverage measured: tests that need ${programs}. On Debian: apt install ${packages}`)
}
// Null if a signal has ended tap.
process.exitCode = status ?? 1

function runTap(...args) {
  // npm's folder of programs, which is in PATH, holds a .cmd file there.
  const { status, error } = spawnSync('tap', args, { stdio: 'inherit', shell: process.platform === 'win32' })
  if (error !== undefined) throw error
  return status
}

/** The files of test/together/, and each test file that none of them imports. */
function allTests() {
  const together = readdirSync(new URL('together/', import.meta.url)).map((name) => `test/together/${name}`)
  const imported = together.flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(/^import '\.\.\/(.+)\.js'$/gm)].map(([, name]) => `test/${name}.ts`)
  )
  const alone = readdirSync(new URL('.', import.meta.url), { recursive: true })
    .map((name) => join('test', name).replaceAll('\\', '/'))
    .filter((file) => file.endsWith('.test.ts') && !imported.includes(file))
  return [...alone, ...together].sort()
}

function isInPath(program) {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}
