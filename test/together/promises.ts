// Run in one process: to start one for each file would take longer than its tests.
import { runTogether } from '../kit/run-together.js'
import '../promises/backpressure.test.js'
import '../promises/close.test.js'
import '../promises/closing-deadline.test.js'
import '../promises/last-events.test.js'
import '../promises/queue-depth.test.js'
import '../promises/replay.test.js'
import '../promises/replay-races.test.js'
import '../promises/requests-while-closing.test.js'
import '../promises/stall-timeout.test.js'
import '../promises/stream-properties.test.js'
import '../promises/topics-model.test.js'
import '../promises/unknown-ids.test.js'

runTogether()
