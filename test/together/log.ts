// Run in one process: to start one for each file would take longer than its tests.
import t from 'tap'
import '../log/audience.test.js'
import '../log/chunk.test.js'
import '../log/cursor.test.js'
import '../log/encode.test.js'
import '../log/event-encoder.test.js'
import '../log/event-index.test.js'
import '../log/event-log.test.js'
import '../log/log-cursors.test.js'
import '../log/log-reader.test.js'
import '../log/lost-events.test.js'
import '../log/place-name.test.js'
import '../log/seq-list.test.js'
import '../log/slab.test.js'
import '../log/small-set.test.js'
import '../log/topic.test.js'

t.setTimeout(600_000)
