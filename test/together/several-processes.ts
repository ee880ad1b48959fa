// Run in one process: to start one for each file would take longer than its tests.
import t from 'tap'
import '../backplane/several-processes.test.js'
import '../backplane/unreliable-engine.test.js'

t.setTimeout(600_000)
