// Run in one process: to start one for each file would take longer than its tests.
import { runTogether } from '../kit/run-together.js'
import '../entries/dashboard/actions.test.js'
import '../entries/dashboard/dashboard.test.js'
import '../entries/dashboard/snapshots.test.js'
import '../entries/metrics/grafana.test.js'
import '../entries/metrics/opentelemetry.test.js'
import '../entries/metrics/prometheus.test.js'

runTogether()
