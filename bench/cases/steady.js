// The cases paced and sustained: events at a steady rate.

import { LEAST } from '../peers/peers.js'
import { underLoad } from './load.js'

const CLIENTS = 5000
/** One event every 300 ms, so that there is nothing to batch. */
const PACED = 1 / 0.3

/** Events at a steady rate, at several rates in turn, with the same server and clients. A neighbour route is timed, too. */
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
  // It has no backpressure, so it would queue without bounds.
  if (peer === LEAST) return []
  // Other peers do not hold the higher rates, which one round is enough to show.
  return own || (!quick && round === 0) ? [100, 500, 1000] : [100]
}
