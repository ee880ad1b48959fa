// Counts the tests in a TAP report: those that the files declare, whatever their number of assertions.
import { readFileSync } from 'node:fs'

const counts = { passed: 0, failed: 0, skipped: 0 }
let failedInFile = 0
for (const line of readFileSync(process.argv[2], 'utf8').split('\n')) {
  // A file is a point at the margin, after its tests, each of which is a point that is indented once.
  const point = /^( {4})?(not )?ok \d+ - .*?(#\s*(?:SKIP|TODO)\b.*)?$/i.exec(line)
  if (!point) continue
  const [, isTest, hasFailed, isSkipped] = point
  if (isTest && isSkipped) counts.skipped++
  else if (isTest && hasFailed) failedInFile++
  else if (isTest) counts.passed++
  else {
    // One that breaks outside its tests has failed, too.
    counts.failed += hasFailed ? Math.max(failedInFile, 1) : 0
    failedInFile = 0
  }
}
const skipped = counts.skipped ? `, ${counts.skipped} skipped` : ''
console.log(`${counts.passed} passed, ${counts.failed} failed${skipped}`)
if (counts.passed === 0 || counts.failed > 0) process.exitCode = 1
