// Run in one process: to start one for each file would take longer than its tests.
import t from 'tap'
import '../examples/testing.test.js'
import '../testing/transports.test.js'
import '../testing/waits.test.js'

t.setTimeout(600_000)
