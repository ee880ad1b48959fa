/** Many events broadcast in one tick, to clients that keep up. */
export const burst = {
  name: 'burst',
  rows: ['burst'],
  seconds: 60,

  async run(stage, { peer, quick }, rows) {
    const clients = 1000
    const events = 100
    const times = quick ? 3 : 10
    await stage.open(peer)
    await stage.connect({ clients })
    for (let n = 0; n < (quick ? 1 : 5); n++) await burstOnce(stage, events)
    await stage.begin()
    const faults = []
    let busy = 0
    for (let n = 0; n < times; n++) {
      const one = await burstOnce(stage, events)
      faults.push(...one.faults)
      busy += one.seconds
    }
    const { cpu, loopDelayP99, rss, othersShare } = await stage.end()
    const delivered = clients * events * times
    const { due } = await stage.latency()
    rows.burst = {
      clients,
      events,
      reached: delivered / busy,
      cpu: cpu / delivered,
      perCpuSecond: (delivered / cpu) * 1e6,
      latency: due,
      loopDelayP99,
      rss,
      othersShare,
      faults
    }
  }
}

async function burstOnce(stage, events) {
  const { first, lastSeq } = await stage.burst({ events })
  const { watchers, counters, faults } = await stage.arrived(lastSeq)
  return { faults, seconds: (Math.max(watchers.lastRead, counters.lastRead) - first) / 1e6 }
}
