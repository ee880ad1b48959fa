// Run in one process: to start one for each file would take longer than its tests.
import { runTogether } from '../kit/run-together.js'
import '../backplane/nats/app-connection.test.js'
import '../backplane/nats/joining.test.js'
import '../backplane/nats/lost-entries.test.js'
import '../backplane/nats/messages.test.js'
import '../backplane/nats/streams.test.js'

runTogether()
