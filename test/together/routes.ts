// Run in one process: to start one for each file would take longer than its tests.
import t from 'tap'
import '../routes/access.test.js'
import '../routes/cors.test.js'
import '../routes/openapi-answers.test.js'
import '../routes/openapi.test.js'
import '../routes/own-response.test.js'
import '../routes/page.test.js'
import '../routes/publish.test.js'
import '../routes/refused-heads.test.js'
import '../routes/request-scope.test.js'
import '../routes/routes.test.js'
import '../routes/stream.test.js'

t.setTimeout(600_000)
