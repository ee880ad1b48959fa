// Run in one process: to start one for each file would take longer than its tests.
import { runTogether } from '../kit/run-together.js'
import '../examples/testing.test.js'
import '../entries/testing/connecting.test.js'
import '../entries/testing/options.test.js'
import '../entries/testing/transports.test.js'
import '../entries/testing/waits.test.js'

runTogether()
