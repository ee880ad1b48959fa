// The cases resume: clients that resume with histories of several sizes.

import { OWN, RIVAL } from '../peers/peers.js'

const CLIENTS = 5000
/** Events of the history that are each client's. */
const OWN_EVENTS = 20
/** Connections that the kernel has to queue at once: below `net.core.somaxconn`. */
const PARALLEL = 1000
const HISTORIES = [2000, 20_000, 200_000]
/** Peers that have a history of their own, or that an app can give one. */
const PEERS = [
  { name: OWN },
  { name: RIVAL, title: 'better-sse, with an array filtered by topic' },
  { name: 'res-write', title: 'res.write loop, with an array filtered by topic' }
]

/** Clients that are new, and get as many events as the others replay: what resuming is compared with. */
const fresh = {
  name: 'resume-fresh',
  rows: ['resume-fresh'],
  seconds: 60,
  peers: PEERS,

  async run(stage, { peer }, rows) {
    const topics = HISTORIES[0] / OWN_EVENTS
    await stage.open(peer, { topics })
    rows['resume-fresh'] = await measure(stage, async () => {
      await stage.connect({ clients: CLIENTS, parallel: PARALLEL })
      return stage.burst({ events: HISTORIES[0] })
    })
  }
}

/** All clients come back at once, to a history of which 20 events are each client's: by a topic, and by a pattern. */
const returning = HISTORIES.flatMap((history) => [
  { name: `resume-${history}`, history, pattern: false, peers: PEERS },
  // The others have no patterns.
  { name: `resume-pattern-${history}`, history, pattern: true, peers: PEERS.slice(0, 1) }
]).map(({ name, history, pattern, peers }) => ({
  name,
  rows: [name],
  seconds: 120,
  peers,

  async run(stage, { peer }, rows) {
    const topics = history / OWN_EVENTS
    await stage.open(peer, { topics, history })
    await stage.connect({ clients: 24 })
    const { lastSeq: last } = await stage.burst({ events: 1 })
    await stage.arrived(last)
    const lastEventId = await stage.lastId()
    await stage.drop()
    const burst = await stage.burst({ events: history })
    await stage.settle()
    const resume = { lastEventId, next: last + 1 }
    rows[name] = await measure(stage, async () => {
      await stage.connect({ clients: CLIENTS, parallel: PARALLEL, resume, pattern })
      return burst
    })
  }
}))

export const resume = [fresh, ...returning]

async function measure(stage, run) {
  await stage.begin()
  const began = performance.now()
  const { lastSeq } = await run()
  const { faults } = await stage.arrived(lastSeq, 90_000)
  const seconds = (performance.now() - began) / 1e3
  const { cpu, loopDelayP99, rss, othersShare } = await stage.end()
  const delivered = CLIENTS * OWN_EVENTS
  return {
    clients: CLIENTS,
    seconds,
    cpu: cpu / delivered,
    cpuPerClient: cpu / CLIENTS,
    perCpuSecond: (delivered / cpu) * 1e6,
    loopDelayP99,
    rss,
    othersShare,
    faults
  }
}
