/** Part of a load that is not looked at for the rate it reached: the system fills first. */
const FILLING = 1 / 4
/** Least time between two looks at what has arrived, µs. */
const LOOK = 50_000

/**
 * Publishes on a schedule and measures what comes of it.
 *
 * @param {import('./stage.js').Stage} stage with its clients connected
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
  const samples = stage.samples(looks({ first, interval: 1e6 / rate, events }))
  try {
    const { lastSeq, late } = await stage.paced()
    const asked = neighbour ? await stage.stopNeighbour() : undefined
    const { watchers, counters, faults } = await stage.arrived(lastSeq)
    const after = await stage.end()
    const published = lastSeq - nextSeq + 1
    const delivered = faults.length === 0 ? published * readersOfEach : since(before, watchers, counters, stage.clients)
    const reached = slope(
      (await samples).map(({ time, ...at }) => [time / 1e6, since(before, watchers, at, stage.clients)])
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
    const delivered = since(before, watchers, counters, stage.clients)
    return { clients: stage.clients, rate, events, offered, delivered, faults: [stage.fault] }
  }
}

/** When to look at what has arrived: between two events, so that a slow schedule is counted exactly. */
function looks({ first, interval, events }) {
  const step = Math.ceil(LOOK / interval)
  const times = []
  for (let n = Math.max(1, Math.floor(events * FILLING)); n <= events; n += step) {
    times.push(first + interval * (n - 0.5))
  }
  return times
}

/** Least squares: what arrives in gusts is never counted from the crest of one to the foot of another. */
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

/** Deliveries from the beginning to a look at those who count; the watchers' own are added in proportion. */
function since(before, watchers, { bytes, events }, clients) {
  const counting = clients - before.watchers.connections
  // Those that parse know their events; the others count bytes.
  const delivered =
    events > 0 ? events - before.counters.events : (bytes - before.counters.bytes) / bytesOfEvent(before, watchers)
  return (delivered * clients) / counting
}

/** Bytes that an event has in a stream, ids and all, as the watchers found. */
function bytesOfEvent(before, watchers) {
  return (watchers.bytes - before.watchers.bytes) / (watchers.events - before.watchers.events)
}
