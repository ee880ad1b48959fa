/** Share of the load at its start that is left out of the reached rate: queues and buffers fill first. */
const FILLING = 1 / 4
/** Shortest time between two samples of what has arrived, µs. */
const SAMPLING = 50_000

/**
 * The load that several cases share: publishes on a schedule, and measures delivery, latency and cost.
 *
 * @param {import('../stage/stage.js').Stage} stage with its clients connected
 * @param {{ rate: number, seconds: number, warmUp: number, bytes?: number, readersOfEach: number, neighbour?: boolean }}
 *   load `rate`: events a second; `warmUp`: seconds; `readersOfEach`: clients that an event goes to
 */
export async function underLoad(stage, { rate, seconds, warmUp, bytes, readersOfEach, neighbour = false }) {
  const events = Math.round(rate * seconds)
  const offered = rate * readersOfEach
  if (warmUp > 0) await stage.warmUp({ rate, seconds: warmUp, bytes })
  const before = await stage.begin()
  if (neighbour) await stage.startNeighbour()
  const { first, nextSeq } = await stage.pace({ rate, events, bytes })
  const samples = stage.samples(sampleTimes({ first, interval: 1e6 / rate, events }))
  try {
    const { lastSeq, late } = await stage.paced()
    const asked = neighbour ? await stage.stopNeighbour() : undefined
    const { watchers, counters, faults } = await stage.arrived(lastSeq)
    const after = await stage.end()
    const published = lastSeq - nextSeq + 1
    const delivered =
      faults.length === 0 ? published * readersOfEach : deliveriesSince(before, watchers, counters, stage.clients)
    const reached = slope(
      (await samples).map(({ time, ...at }) => [time / 1e6, deliveriesSince(before, watchers, at, stage.clients)])
    )
    const { due, broadcast } = await stage.latency()
    return {
      clients: stage.clients,
      rate,
      events,
      published,
      late,
      offered,
      reached,
      held: reached / offered,
      cpu: after.cpu / delivered,
      perCpuSecond: (delivered / after.cpu) * 1e6,
      latency: due,
      latencyFromBroadcast: broadcast,
      loopDelayP99: after.loopDelayP99,
      rss: after.rss,
      rssBefore: before.rss,
      othersShare: after.othersShare,
      ...(asked && { neighbour: asked }),
      faults
    }
  } catch (err) {
    if (stage.fault === undefined) throw err
    const { watchers, counters } = await stage.remains()
    const delivered = deliveriesSince(before, watchers, counters, stage.clients)
    return { clients: stage.clients, rate, events, offered, delivered, faults: [stage.fault] }
  }
}

/** When to sample what has arrived: halfway between two events, so that a slow schedule is counted exactly. */
function sampleTimes({ first, interval, events }) {
  const step = Math.ceil(SAMPLING / interval)
  const times = []
  for (let n = Math.max(1, Math.floor(events * FILLING)); n <= events; n += step) {
    times.push(first + interval * (n - 0.5))
  }
  return times
}

/** Slope by least squares: with the two end points alone, bursts at either end would distort the rate. */
function slope(points) {
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / points.length
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / points.length
  let above = 0
  let below = 0
  for (const [x, y] of points) {
    above += (x - meanX) * (y - meanY)
    below += (x - meanX) ** 2
  }
  return above / below
}

/** Deliveries from the beginning to a sample of the counters; those to watchers are added in proportion. */
function deliveriesSince(before, watchers, { bytes, events }, clients) {
  const counting = clients - before.watchers.connections
  // Counters that parse know their events; the others only count bytes.
  const delivered =
    events > 0 ? events - before.counters.events : (bytes - before.counters.bytes) / bytesOfEvent(before, watchers)
  return (delivered * clients) / counting
}

/** Bytes of one event in a stream, with its id, as the watchers counted them. */
function bytesOfEvent(before, watchers) {
  return (watchers.bytes - before.watchers.bytes) / (watchers.events - before.watchers.events)
}
