// Run in one process: to start one for each file would take longer than its tests.
import t from 'tap'
import '../dashboard/dashboard.test.js'
import '../metrics/grafana.test.js'
import '../metrics/opentelemetry.test.js'
import '../metrics/prometheus.test.js'

t.setTimeout(600_000)
