// Run in one process: to start one for each file would take longer than its tests.
import t from 'tap'
import '../examples/testing.test.js'
import '../entries/testing/connecting.test.js'
import '../entries/testing/options.test.js'
import '../entries/testing/transports.test.js'
import '../entries/testing/waits.test.js'

t.setTimeout(600_000)
