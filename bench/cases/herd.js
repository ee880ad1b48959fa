// The case herd: all clients reconnect at once.

const EVENTS = 500
/** Connections opened at a time: below `net.core.somaxconn`, the most that the kernel queues. */
const PARALLEL = 1000

/** A thundering herd: all clients are cut off, miss events, and reconnect at once with their last event id. */
export const herd = {
  name: 'herd',
  rows: ['herd'],
  seconds: 120,

  async run(stage, { peer, quick }, rows) {
    const clients = quick ? 5000 : 10_000
    await stage.open(peer, { history: true })
    await stage.connect({ clients })
    const { lastSeq: last } = await stage.burst({ events: 1 })
    await stage.arrived(last)
    const lastEventId = await stage.lastId()
    await stage.drop()
    const { lastSeq } = await stage.burst({ events: EVENTS })
    await stage.settle()
    const before = await stage.begin()
    const began = performance.now()
    await stage.connect({ clients, parallel: PARALLEL, resume: { lastEventId, next: last + 1 } })
    const { counters, faults } = await stage.arrived(lastSeq, 60_000)
    const seconds = (performance.now() - began) / 1e3
    const { cpu, loopDelayP99, rss, arrayBuffers, othersShare } = await stage.end()
    const delivered = clients * EVENTS
    rows.herd = {
      clients,
      events: EVENTS,
      seconds,
      reached: delivered / seconds,
      cpu: cpu / delivered,
      perCpuSecond: (delivered / cpu) * 1e6,
      loopDelayP99,
      rss,
      rssBefore: before.rss,
      replayedMiB: (counters.streamBytes * clients) / 2 ** 20,
      othersShare,
      arrayBuffersGrowth: arrayBuffers - before.arrayBuffers,
      faults
    }
  }
}
