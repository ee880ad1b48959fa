// The case gzip: what compression costs and saves.

const CLIENTS = 1000
const RATE = 50
/** Approximate size of one event's JSON, bytes: a row of a table as apps send it. */
const BYTES = 500

/** Bytes and CPU of compressing once for all clients, once per client, and not at all. */
export const gzip = {
  name: 'gzip',
  rows: ['gzip'],
  seconds: 60,
  /** This case has peers of its own: the usual ones do not compress. */
  peers: [
    { name: 'pylon-sse', title: 'pylon-sse, plain' },
    { name: 'pylon-sse-gzip', title: 'pylon-sse, compress: true' },
    { name: 'gzip-each', title: 'zlib.createGzip() for each client' }
  ],

  async run(stage, { peer, quick }, rows) {
    const seconds = quick ? 2 : 8
    const events = RATE * seconds
    await stage.open(peer)
    await stage.connect({ clients: CLIENTS, gzip: peer !== 'pylon-sse' })
    await stage.warmUp({ rate: RATE, seconds: 1, bytes: BYTES, rows: true })
    const before = await stage.begin()
    await stage.pace({ rate: RATE, events, bytes: BYTES, rows: true })
    const { lastSeq } = await stage.paced()
    const { watchers, counters, faults } = await stage.arrived(lastSeq)
    const { cpu, loopDelayP99, rss, othersShare } = await stage.end()
    const delivered = events * CLIENTS
    const counting = CLIENTS - watchers.connections
    const { due } = await stage.latency()
    rows.gzip = {
      clients: CLIENTS,
      rate: RATE,
      events,
      cpu: cpu / delivered,
      perCpuSecond: (delivered / cpu) * 1e6,
      latency: due,
      loopDelayP99,
      rss,
      bytesOfEvent: (counters.bytes - before.counters.bytes) / (events * counting),
      othersShare,
      faults
    }
  }
}
