// Counts the tests in a TAP report: the subtests that the files declare, whatever their number of assertions.
import { readFileSync } from 'node:fs'

const counts = { passed: 0, failed: 0, skipped: 0 }
for (const line of readFileSync(process.argv[2], 'utf8').split('\n')) {
  // A file is a point at the margin, each of its tests one that is indented once.
  const point = /^ {4}(not )?ok \d+ - .*?(#\s*(?:SKIP|TODO)\b.*)?$/i.exec(line)
  if (!point) continue
  if (point[2]) counts.skipped++
  else counts[point[1] ? 'failed' : 'passed']++
}
const skipped = counts.skipped ? `, ${counts.skipped} skipped` : ''
console.log(`${counts.passed} passed, ${counts.failed} failed${skipped}`)
if (counts.passed === 0 || counts.failed > 0) process.exitCode = 1
