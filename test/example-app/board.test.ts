import t from 'tap'
import { BoardStage } from '../kit/board-stage.js'
import { launchChromium } from '../kit/chromium.js'
import { board, together } from './board.js'
import { connection } from './connection.js'
import { database } from './database.js'
import { door } from './door.js'
import { conflicts, editing } from './editing.js'
import { hands } from './hands.js'
import { lobby } from './lobby.js'
import { offline } from './offline.js'

// More than a quiet machine needs, since one browser serves all of them.
t.setTimeout(600_000)

const browser = await launchChromium(t)
if (browser) {
  const stage = await BoardStage.open(t, browser)
  for (const scenarios of [together, connection, board, conflicts, editing, offline, lobby, hands, database, door])
    scenarios(t, stage)
}
