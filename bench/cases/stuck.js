// The case stuck: clients that never read, among others.

import { underLoad } from './load.js'

const STUCK = 100
const BYTES = 1024
/** What a stuck client has not read in the end, bytes. */
const OWED = 30_000_000
/** More than the kernel buffers of one connection, on both sides, can hold, bytes. */
const FILLING = 8_000_000

/** The same load twice: without and with clients that never read. */
export const stuck = {
  name: 'stuck',
  rows: ['stuck-none', 'stuck'],
  seconds: 150,

  async run(stage, { peer, quick, own }, rows) {
    const clients = quick ? 100 : 1000
    const seconds = quick ? 5 : 25
    // Larger events in a quick run: the clients that parse every event could not keep up with eight times as many.
    const bytes = quick ? 8 * BYTES : BYTES
    const load = { rate: OWED / bytes / seconds, seconds, warmUp: 1, bytes, readersOfEach: clients }
    await stage.open(peer, { history: own })
    await stage.connect({ clients })
    rows['stuck-none'] = await underLoad(stage, load)
    if (stage.fault !== undefined) return
    await stage.settle()
    const before = await stage.settle()
    // A first time without measuring: a virtual machine may have to get the memory for full sockets from its host, and
    // keeps it for a while.
    await stage.connectStuck(STUCK)
    await stage.warmUp({ ...load, seconds: FILLING / (bytes * load.rate) })
    await stage.dropStuck()
    await stage.connectStuck(STUCK)
    // No warm-up: what happens while the sockets fill is part of the case.
    const figures = await underLoad(stage, { ...load, warmUp: 0 })
    rows.stuck = { ...figures, stuck: STUCK, rssGrowth: figures.rss - before.rss }
  }
}
