// Run in one process: to start one for each file would take longer than its tests.
import { runTogether } from '../kit/run-together.js'
import '../examples/auth-tokens.test.js'
import '../examples/checks.test.js'
import '../examples/compiled.test.js'
import '../examples/deployment.test.js'
import '../examples/metrics.test.js'
import '../examples/quotes.test.js'
import '../examples/servers.test.js'

runTogether()
