import { underLoad } from '../load.js'

const CLIENTS = 5000
/** One event every 300 ms: nothing to batch. */
const PACED = 1 / 0.3

/** Cases 2, 3 and 8 on one server with one set of clients: the loads follow each other. */
export const steady = {
  name: 'steady',
  rows: ['paced', 'sustained-100', 'sustained-500', 'sustained-1000'],
  seconds: 120,

  async run(stage, { peer, quick, round, own, wanted }, rows) {
    const seconds = quick ? 3 : 8
    const loads = [
      { row: 'paced', rate: PACED, seconds: quick ? 3.6 : 9, warmUp: quick ? 0.9 : 2.1 },
      { row: 'sustained-100', rate: 100, seconds, warmUp: 1, neighbour: true }
    ]
    // Who does not hold a fifth of it need not show so in every round.
    if (own || (!quick && round === 0)) {
      loads.push({ row: 'sustained-500', rate: 500, seconds, warmUp: 1, neighbour: true })
      loads.push({ row: 'sustained-1000', rate: 1000, seconds, warmUp: 1, neighbour: true })
    }
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
