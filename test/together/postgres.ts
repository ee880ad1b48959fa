// Run in one process, with one server for all.
import { runTogether } from '../kit/run-together.js'
import '../backplane/postgres/connection-string.test.js'
import '../backplane/postgres/contract.test.js'
import '../examples/list.test.js'
import '../examples/postgres.test.js'
import '../backplane/postgres/faults.test.js'
import '../backplane/postgres/feeds.test.js'
import '../backplane/postgres/losses.test.js'
import '../backplane/postgres/options.test.js'
import '../backplane/postgres/order.test.js'
import '../backplane/postgres/pgbouncer.test.js'
import '../backplane/postgres/postgres.test.js'
import '../backplane/postgres/schema.test.js'
import '../backplane/postgres/server-faults.test.js'
import '../backplane/postgres/table-changes.test.js'
import '../backplane/postgres/transaction.test.js'

runTogether()
