// The nine promises of docs/delivery.md, run in one process: to start one for each would take longer than its tests.
import { runTogether } from '../kit/run-together.js'
import '../promises/order.test.js'
import '../promises/once.test.js'
import '../promises/no-silent-gap.test.js'
import '../promises/bounded.test.js'
import '../promises/isolated.test.js'
import '../promises/one-release.test.js'
import '../promises/closing-ends.test.js'
import '../promises/own-bytes.test.js'
import '../promises/no-injection.test.js'

runTogether()
