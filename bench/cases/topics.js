// The cases topics and rooms: many topics with few clients each.

import { underLoad } from './load.js'

const CLIENTS = 10_000
const RATE = 10_000

/** Two cases: a topic per client, and rooms of ten clients. Both have the same events/s, so rooms have ten times the deliveries. */
export const topics = [
  { name: 'topics', topics: CLIENTS },
  { name: 'rooms', topics: CLIENTS / 10 }
].map(({ name, topics }) => ({
  name,
  rows: [name],
  seconds: 90,

  async run(stage, { peer, quick }, rows) {
    await stage.open(peer, { topics })
    await stage.connect({ clients: CLIENTS })
    const load = { rate: RATE, seconds: quick ? 3 : 5, warmUp: quick ? 1 : 3, readersOfEach: CLIENTS / topics }
    rows[name] = await underLoad(stage, load)
  }
}))
