// Run in one process: to start one for each file, and the browser in it, would take longer than its tests.
import t from 'tap'
import { releaseTests } from '../kit/hold-tests.js'
import '../examples/auth-ticket.test.js'
import '../examples/pages.test.js'
import '../examples/runs.test.js'

t.setTimeout(600_000)
releaseTests()
