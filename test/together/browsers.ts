// Run in one process: to start one for each file, and the browsers in it, would take longer than its tests.
import { runTogether } from '../kit/run-together.js'
import '../entries/client/browsers.test.js'
import '../entries/client/tabs-in-browsers.test.js'
import '../entries/dashboard/page.test.js'
import '../interop/browsers.test.js'

runTogether()
