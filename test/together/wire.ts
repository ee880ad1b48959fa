// Run in one process: to start one for each file would take longer than its tests.
import { runTogether } from '../kit/run-together.js'
import '../wire/compress-large.test.js'
import '../wire/compress.test.js'
import '../wire/gzip.test.js'
import '../wire/http2-resets.test.js'
import '../wire/pipelining.test.js'
import '../wire/time-slices.test.js'
import '../wire/timeouts.test.js'
import '../wire/transports.test.js'

runTogether()
