// Run in one process: to start one for each file would take longer than its tests.
import { runTogether } from '../kit/run-together.js'
import '../hub/runs/failed-runs.test.js'
import '../hub/runs/run-limits.test.js'
import '../hub/runs/run-listeners.test.js'
import '../hub/runs/run-sources.test.js'
import '../hub/runs/stopping-runs.test.js'

runTogether()
