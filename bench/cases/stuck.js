import { underLoad } from '../load.js'

const STUCK = 100
const BYTES = 1024
/** What a stuck client is owed in the end, bytes. */
const OWED = 30_000_000
/** What a socket takes on both sides before it is full, amply, bytes. */
const FILLING = 8_000_000

/** The same load without clients that never read, then with them. */
export const stuck = {
  name: 'stuck',
  rows: ['stuck-none', 'stuck'],
  seconds: 150,

  async run(stage, { peer, quick, own }, rows) {
    const clients = quick ? 100 : 1000
    const seconds = quick ? 5 : 25
    // Larger ones in a quick run, or those that parse every event could not keep up.
    const bytes = quick ? 8 * BYTES : BYTES
    const load = { rate: OWED / bytes / seconds, seconds, warmUp: 1, bytes, readersOfEach: clients }
    await stage.open(peer, { history: own })
    await stage.connect({ clients })
    rows['stuck-none'] = await underLoad(stage, load)
    if (stage.fault !== undefined) return
    await stage.settle()
    const before = await stage.settle()
    // Once before it counts: a virtual machine may have to get the memory for full sockets from its host, and gives it
    // back soon after they have gone.
    await stage.connectStuck(STUCK)
    await stage.warmUp({ ...load, seconds: FILLING / (bytes * load.rate) })
    await stage.dropStuck()
    await stage.connectStuck(STUCK)
    // Without warming up: what happens while their sockets fill belongs to it.
    const figures = await underLoad(stage, { ...load, warmUp: 0 })
    rows.stuck = { ...figures, stuck: STUCK, rssGrowth: figures.rss - before.rss }
  }
}
