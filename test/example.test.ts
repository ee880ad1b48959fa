import t from 'tap'
import { board, together } from './example/board.js'
import { door } from './example/door.js'
import { conflicts, editing } from './example/editing.js'
import { hands } from './example/hands.js'
import { lobby } from './example/lobby.js'
import { offline } from './example/offline.js'
import { BoardStage } from './kit/board-stage.js'
import { launchChromium } from './kit/chromium.js'

// More than a quiet machine needs, since one browser serves all of them.
t.setTimeout(300_000)

const browser = await launchChromium(t)
if (browser) {
  const stage = await BoardStage.open(t, browser)
  for (const scenarios of [together, board, conflicts, editing, offline, lobby, hands, door]) scenarios(t, stage)
}
