import { setTimeout as sleep } from 'node:timers/promises'

const STEP = Number(process.env.STEP ?? 200)

/** In place of a database's cursor. */
export async function* rowsOf(from, signal) {
  for (let id = Number(from); id < Number(from) + 5; id++) {
    await sleep(STEP, undefined, { signal })
    yield { id, name: `row ${id}` }
  }
}
