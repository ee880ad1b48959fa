import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { plainEnvironment } from '../kit/plain-environment.js'

// As users write them: what is built, by its name. The program for tap is a test of this run.
// Not a literal, since a compiler would look for types that have yet to be built.
await import(new URL('../../docs/examples/testing/tap.test.js', import.meta.url).href)

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

function run(...args: string[]): Promise<string> {
  const env = { ...plainEnvironment(), NO_COLOR: '1' }
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd: ROOT, env }, (_error, stdout, stderr) => resolve(stdout + stderr))
  })
}

/** What it says of the test that waits, with mocked timers, for an event of a misspelt name. */
const FAILURE =
  /Waited 150 ms for the event 'todo\.create' \(did you mean 'todo\.created'\?\)\. .* 2 events have come:\s+todo\.done \(id .*, topic todos\.home, taken\) 1\s+todo\.created \(id .*, topic todos\.home\) {"list":"home","title":"Cook"}/

t.test('testing/: with node:test', async (t) => {
  const output = await run('--test-reporter=tap', 'test/fixtures/testing/node.test.js')
  t.match(output, 'ok 1 - who watches a list hears of its new todos, and of no others')
  t.match(output, 'not ok 2 - under mocked timers')
  t.match(output, FAILURE)
  t.match(output, /TestContext\.<anonymous> \(.*node\.test\.js:17:/, 'the line of the test')
})

t.test('testing/: with Vitest', async (t) => {
  const output = await run(
    'node_modules/vitest/vitest.mjs',
    'run',
    '--root',
    '.',
    'test/fixtures/testing/vitest.test.js'
  )
  t.match(output, '✓ who comes back gets what it has missed')
  t.match(output, '× under mocked timers')
  t.match(output, FAILURE)
  t.match(output, /❯ .*vitest\.test\.js:17:/, 'the line of the test')
})
