import { underLoad } from '../load.js'
import { LEAST } from '../peers/peers.js'

const CLIENTS = 5000
/** One event every 300 ms: nothing to batch. */
const PACED = 1 / 0.3

/** Cases 2, 3 and 8 on one server with one set of clients: the loads follow each other. */
export const steady = {
  name: 'steady',
  rows: ['paced', 'sustained-100', 'sustained-500', 'sustained-1000'],
  seconds: 120,

  async run(stage, { peer, quick, round, own, wanted }, rows) {
    const sustained = { seconds: quick ? 3 : 8, warmUp: quick ? 0.5 : 1, neighbour: true }
    const loads = [{ row: 'paced', rate: PACED, seconds: quick ? 2.4 : 9, warmUp: quick ? 0.9 : 2.1 }]
    for (const rate of ratesFor(peer, { quick, round, own }))
      loads.push({ row: `sustained-${rate}`, rate, ...sustained })
    await stage.open(peer)
    await stage.connect({ clients: CLIENTS })
    for (const { row, ...load } of loads.filter(({ row }) => wanted(row))) {
      if (stage.fault !== undefined) rows[row] = { faults: [`not run: the server was ${stage.fault} before`] }
      else {
        const neighbour = load.neighbour && peer !== 'nchan'
        rows[row] = await underLoad(stage, { ...load, neighbour, readersOfEach: CLIENTS })
      }
    }
  }
}

function ratesFor(peer, { quick, round, own }) {
  // It would only queue without bounds what it cannot send.
  if (peer === LEAST) return []
  // Who does not hold a fifth of a load need not show so in every round.
  return own || (!quick && round === 0) ? [100, 500, 1000] : [100]
}
