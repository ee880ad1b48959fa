// Run in one process: to start one for each file would take longer than its tests.
import t from 'tap'
import '../hub/clients/client-limit.test.js'
import '../hub/clients/client-life.test.js'
import '../hub/clients/client.test.js'
import '../hub/clients/commands.test.js'
import '../hub/clients/flush-queue.test.js'
import '../hub/clients/housekeeping.test.js'
import '../hub/clients/ip-limit.test.js'
import '../hub/clients/keep-alive.test.js'
import '../hub/clients/outbox.test.js'
import '../hub/clients/pending-resync.test.js'
import '../backplane/selector.test.js'

t.setTimeout(600_000)
