// Run in one process: to start one for each file would take longer than its tests.
import t from 'tap'
import '../client/connecting.test.js'
import '../client/consuming.test.js'
import '../client/faults.test.js'
import '../client/loading.test.js'
import '../client/pages.test.js'
import '../client/shared.test.js'
import '../client/staying-connected.test.js'
import '../react/hooks.test.js'

t.setTimeout(600_000)
