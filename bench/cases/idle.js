// The case idle: clients that get nothing.

const WARM = 500
const CLIENTS = 15_000
/** Connections opened at a time: so many that the server limits their number per second. */
const PARALLEL = 512
const KB_OF_MIB = 1048.576

/** Clients that receive nothing: what they cost to connect and to keep. */
export const idle = {
  name: 'idle',
  rows: ['idle'],
  seconds: 90,

  async run(stage, { peer }, rows) {
    await stage.open(peer)
    // The first connections load and compile code, which is no cost of a single client.
    await stage.connectCounters({ first: 0, clients: WARM })
    const before = await stage.settle()
    await stage.begin()
    const { seconds } = await stage.connectCounters({ first: WARM, clients: CLIENTS, parallel: PARALLEL })
    const { cpu, loopDelayP99, othersShare } = await stage.end()
    const { rss, heapUsed } = await stage.settle()
    rows.idle = {
      clients: CLIENTS,
      connectsPerSecond: CLIENTS / seconds,
      cpuPerConnect: cpu / CLIENTS,
      rss,
      perClient: ((rss - before.rss) * KB_OF_MIB) / CLIENTS,
      heapPerClient: ((heapUsed - before.heapUsed) * KB_OF_MIB) / CLIENTS,
      loopDelayP99,
      othersShare,
      faults: []
    }
  }
}
