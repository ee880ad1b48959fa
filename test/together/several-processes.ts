// Run in one process: to start one for each file would take longer than its tests.
import { runTogether } from '../kit/run-together.js'
import '../backplane/several-processes.test.js'
import '../backplane/unreliable-engine.test.js'

runTogether()
