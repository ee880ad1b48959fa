// Run in one process: to start one for each file would take longer than its tests.
import { runTogether } from '../kit/run-together.js'
import '../interop/compress-and-sse.test.js'
import '../interop/eventsource.test.js'
import '../interop/express.test.js'
import '../interop/http-proxy.test.js'
import '../interop/third-party-clients.test.js'

runTogether()
