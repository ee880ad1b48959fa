// Run in one process: to start one for each file would take longer than its tests.
import t from 'tap'
import '../backplane/contract.test.js'
import '../backplane/entry-format.test.js'
import '../backplane/fuzz.test.js'
import '../backplane/idempotency.test.js'
import '../backplane/limits.test.js'
import '../backplane/log-losses.test.js'
import '../backplane/membership.test.js'
import '../backplane/mirror.test.js'
import '../backplane/publish-queue.test.js'
import '../entries/publisher.test.js'
import '../backplane/subscriber.test.js'
import '../backplane/unread-acks.test.js'
import '../backplane/nats/batch-codec.test.js'
import '../backplane/nats/feed.test.js'
import '../backplane/redis/names.test.js'

t.setTimeout(600_000)
