// Run in one process: to start one for each file, and the browser in it, would take longer than its tests.
import { runTogether } from '../kit/run-together.js'
import '../examples/auth-ticket.test.js'
import '../examples/pages.test.js'
import '../examples/runs.test.js'

runTogether()
