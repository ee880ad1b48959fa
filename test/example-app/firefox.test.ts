import t from 'tap'
import { BoardStage } from '../kit/board-stage.js'
import { launchFirefox } from '../kit/firefox.js'
import { together } from './board.js'
import { connection } from './connection.js'
import { conflicts } from './editing.js'

/* Browsers differ in keys, focus, streams and what tabs have in common. What does not depend on them is tried in the quicker one alone. */

// More than a quiet machine needs, since one browser serves all of them.
t.setTimeout(600_000)

const browser = await launchFirefox(t)
if (browser) {
  const stage = await BoardStage.open(t, browser)
  for (const scenarios of [together, connection, conflicts]) scenarios(t, stage)
}
