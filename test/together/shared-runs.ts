// Run in one process: to start one for each file would take longer than its tests.
import { runTogether } from '../kit/run-together.js'
import '../hub/runs/runs-of-others.test.js'
import '../hub/runs/shared-runs.test.js'

runTogether()
