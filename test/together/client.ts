// Run in one process: to start one for each file would take longer than its tests.
import { runTogether } from '../kit/run-together.js'
import '../entries/client/changing-topics.test.js'
import '../entries/client/connecting.test.js'
import '../entries/client/consuming.test.js'
import '../entries/client/faults.test.js'
import '../entries/client/leading-tab.test.js'
import '../entries/client/loading.test.js'
import '../entries/client/pages.test.js'
import '../entries/client/shared.test.js'
import '../entries/client/staying-connected.test.js'
import '../entries/client/tabs-behind.test.js'
import '../entries/react/hooks.test.js'
import '../entries/react/types.test.js'

runTogether()
