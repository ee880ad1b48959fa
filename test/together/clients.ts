// Run in one process: to start one for each file would take longer than its tests.
import t from 'tap'
import '../clients/client-limit.test.js'
import '../clients/client-life.test.js'
import '../clients/client.test.js'
import '../clients/commands.test.js'
import '../clients/flush-queue.test.js'
import '../clients/housekeeping.test.js'
import '../clients/ip-limit.test.js'
import '../clients/keep-alive.test.js'
import '../clients/outbox.test.js'
import '../clients/pending-resync.test.js'
import '../clients/selector.test.js'

t.setTimeout(600_000)
