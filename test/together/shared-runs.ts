// Run in one process: to start one for each file would take longer than its tests.
import t from 'tap'
import '../hub/runs/runs-of-others.test.js'
import '../hub/runs/shared-runs.test.js'

t.setTimeout(600_000)
