// Run in one process: to start one for each file would take longer than its tests.
import { runTogether } from '../kit/run-together.js'
import '../plugin/broadcast.test.js'
import '../plugin/diagnostics.test.js'
import '../plugin/disconnect-reasons.test.js'
import '../plugin/hub.test.js'
import '../plugin/imports.test.js'
import '../plugin/inject.test.js'
import '../plugin/limits.test.js'
import '../plugin/log-lines.test.js'
import '../plugin/logger-faults.test.js'
import '../plugin/mounting.test.js'
import '../plugin/options.test.js'
import '../plugin/package.test.js'
import '../plugin/reentrancy.test.js'
import '../plugin/refused-options.test.js'
import '../plugin/stats.test.js'

runTogether()
