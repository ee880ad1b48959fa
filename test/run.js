// Runs tap. Where a program that some tests need is missing, those tests are skipped: coverage is left out, since it
// would be incomplete, and the last line says what was not tried. With CI=true nothing may be skipped.
import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'

const BUILT = new URL('../.tap/plugins/built', import.meta.url)
const needed = readFileSync(new URL('programs.txt', import.meta.url), 'utf8')
  .trim()
  .split('\n')
const missing = needed.map((line) => line.split(' ')).filter(([program]) => !isInPath(program))
const isComplete = process.env.CI === 'true' || missing.length === 0
const coverage = isComplete ? [] : ['--disable-coverage']
// The plugins that .taprc names. A run that has to build them first does not use them yet.
if (!existsSync(BUILT)) {
  runTap('build')
  writeFileSync(BUILT, '')
}
const status = runTap('run', ...coverage, ...process.argv.slice(2))

if (!isComplete) {
  const programs = missing.map(([program]) => program).join(', ')
  const packages = missing.map(([, debianPackage]) => debianPackage).join(' ')
  console.log(`Not tried, nor coverage measured: tests that need ${programs}. On Debian: apt install ${packages}`)
}
// None, where a signal ended it.
process.exitCode = status ?? 1

function runTap(...args) {
  // npm's folder of programs, which is in PATH, holds a .cmd file there.
  const { status, error } = spawnSync('tap', args, { stdio: 'inherit', shell: process.platform === 'win32' })
  if (error !== undefined) throw error
  return status
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
