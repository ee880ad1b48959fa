import { setTimeout as sleep } from 'node:timers/promises'

/** In place of a database's cursor. */
export async function* rowsOf(from, signal) {
  for (let id = Number(from); id < Number(from) + 5; id++) {
    await sleep(Number(process.env.STEP ?? 200), undefined, { signal })
    yield { id, name: `row ${id}` }
  }
}
