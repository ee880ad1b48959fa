// Counts the tests in a TAP report, not their assertions, and prints each point that failed with its diagnostics: the log of
// a gate is long, and what failed is easily lost in it.
import { readFileSync } from 'node:fs'

const report = readFileSync(process.argv[2], 'utf8')
const counts = { passed: 0, failed: 0, skipped: 0 }
let failedInFile = 0
for (const line of report.split('\n')) {
  // A file is a point without indentation, after its tests, which are points with one indentation.
  const point = /^( {4})?(not )?ok \d+ - .*?(#\s*(?:SKIP|TODO)\b.*)?$/i.exec(line)
  if (!point) continue
  const [, isTest, hasFailed, isSkipped] = point
  if (isTest && isSkipped) counts.skipped++
  else if (isTest && hasFailed) failedInFile++
  else if (isTest) counts.passed++
  else {
    // A file that fails outside its tests counts as one failure.
    counts.failed += hasFailed ? Math.max(failedInFile, 1) : 0
    failedInFile = 0
  }
}
// Diagnostics are a YAML block, indented by two more than their point.
for (const [failure] of report.matchAll(/^( *)not ok [^\n]*(?:\n\1 {2}---\n.*?\n\1 {2}\.\.\.$)?/gms))
  console.log(failure)
const skipped = counts.skipped ? `, ${counts.skipped} skipped` : ''
console.log(`${counts.passed} passed, ${counts.failed} failed${skipped}`)
if (counts.passed === 0 || counts.failed > 0) process.exitCode = 1
