// Run in one process: to start one for each file would take longer than its tests.
import { runTogether } from '../kit/run-together.js'
import '../backplane/redis/entries.test.js'
import '../backplane/redis/given-client.test.js'
import '../backplane/redis/lost-entries.test.js'
import '../backplane/redis/options.test.js'
import '../backplane/redis/refusals.test.js'
import '../backplane/redis/rights.test.js'

runTogether()
