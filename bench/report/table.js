// Writes the results as Markdown tables.

import { gzip } from '../cases/gzip.js'
import { resume } from '../cases/resume.js'
import { OWN } from '../peers/peers.js'
import { digits, short } from './numbers.js'

const TITLES = {
  burst: 'Burst: 1,000 clients, 100 events in one tick',
  paced: 'Paced: 5,000 clients, an event every 300 ms',
  'sustained-100': 'Sustained: 5,000 clients, 100 events/s',
  'sustained-500': 'Sustained: 5,000 clients, 500 events/s',
  'sustained-1000': 'Sustained: 5,000 clients, 1,000 events/s',
  topics: 'Topics: 10,000 clients with a topic each, 10,000 events/s',
  rooms: 'Rooms: 1,000 topics of 10 clients, 10,000 events/s',
  'stuck-none': 'Before the stuck clients: 30 MB of 1 KB events to those that read',
  stuck: 'Stuck: the same, with 100 more clients that never read',
  herd: 'Herd: all reconnect at once, each replays 500 events',
  'resume-fresh': 'Resume: 5,000 new clients that get 20 events each, to compare with',
  ...Object.fromEntries(
    [2000, 20_000, 200_000].flatMap((events) => [
      [`resume-${events}`, `Resume: 5,000 clients replay 20 events each, of ${short(events)} held, by a topic`],
      [`resume-pattern-${events}`, `Resume: the same, of ${short(events)} held, by a pattern`]
    ])
  ),
  idle: 'Idle: what a client costs to connect and to keep',
  gzip: 'Gzip: 1,000 clients, 50 events/s of 500 B JSON'
}

const MEASURED = [
  ['offered/s', ({ offered }) => short(offered)],
  ['reached/s', ({ reached }) => short(reached)],
  ['CPU µs a delivery', ({ cpu }) => digits(cpu)],
  ['deliveries a CPU second', ({ perCpuSecond }) => short(perCpuSecond)],
  ['p50 ms', ({ latency }) => digits(latency?.p50)],
  ['p99 ms', ({ latency }) => digits(latency?.p99)],
  ['max ms', ({ latency }) => digits(latency?.max)],
  ['p99 from broadcast ms', ({ latencyFromBroadcast, latency }) => digits((latencyFromBroadcast ?? latency)?.p99)],
  ['event loop p99 ms', ({ loopDelayP99 }) => digits(loopDelayP99)],
  ['RSS MiB', ({ rss }) => digits(rss)]
]
const RESUME = [
  ['clients', ({ clients }) => short(clients)],
  ['CPU µs a client', ({ cpuPerClient }) => digits(cpuPerClient)],
  ['all resumed after s', ({ seconds }) => digits(seconds)],
  ['event loop p99 ms', ({ loopDelayP99 }) => digits(loopDelayP99)],
  ['RSS MiB', ({ rss }) => digits(rss)]
]
const COLUMNS = {
  ...Object.fromEntries(resume.map(({ name }) => [name, RESUME])),
  burst: MEASURED.slice(1),
  'sustained-100': [...MEASURED, ['neighbour p99 ms', ({ neighbour }) => digits(neighbour?.p99)]],
  'sustained-500': [...MEASURED, ['neighbour p99 ms', ({ neighbour }) => digits(neighbour?.p99)]],
  'sustained-1000': [...MEASURED, ['neighbour p99 ms', ({ neighbour }) => digits(neighbour?.p99)]],
  'stuck-none': [['clients', ({ clients }) => short(clients)], ...MEASURED],
  stuck: [
    ['clients', ({ clients }) => short(clients)],
    ...MEASURED,
    ['RSS growth MiB', ({ rssGrowth }) => digits(rssGrowth)]
  ],
  herd: [
    ['clients', ({ clients }) => short(clients)],
    ['all resumed after s', ({ seconds }) => digits(seconds)],
    ['deliveries a CPU second', ({ perCpuSecond }) => short(perCpuSecond)],
    ['CPU µs a delivery', ({ cpu }) => digits(cpu)],
    ['event loop p99 ms', ({ loopDelayP99 }) => digits(loopDelayP99)],
    ['replayed MiB', ({ replayedMiB }) => digits(replayedMiB)],
    ['RSS growth MiB', ({ rss, rssBefore }) => digits(rss - rssBefore)]
  ],
  gzip: [
    ['CPU µs a delivery', ({ cpu }) => digits(cpu)],
    ['bytes an event', ({ bytesOfEvent }) => digits(bytesOfEvent)],
    ['p99 ms', ({ latency }) => digits(latency?.p99)],
    ['event loop p99 ms', ({ loopDelayP99 }) => digits(loopDelayP99)],
    ['RSS MiB', ({ rss }) => digits(rss)]
  ],
  idle: [
    ['clients', ({ clients }) => short(clients)],
    ['RSS KB a client', ({ perClient }) => digits(perClient)],
    ['heap KB a client', ({ heapPerClient }) => digits(heapPerClient)],
    ['connects/s', ({ connectsPerSecond }) => short(connectsPerSecond)],
    ['CPU µs a connect', ({ cpuPerConnect }) => digits(cpuPerConnect)]
  ]
}

/** Peers of the cases that have their own. */
const CASES_PEERS = Object.fromEntries([gzip, ...resume].map(({ name, peers }) => [name, peers]))

const USUAL_RATIO = { head: '×', of: (own, peer) => own.perCpuSecond / peer.perCpuSecond }
const RATIOS = { idle: { head: '× memory', of: (own, peer) => peer.perClient / own.perClient } }

/** Share of the machine's time used by other processes, past which a row says so. */
const BUSY = 0.08

/** The results as Markdown. */
export function markdown({ date, quick, rounds, machine, peers, rows, missing }) {
  const { cpu, cores, memory, os, kernel, node } = machine
  const lines = [
    '# Side by side',
    '',
    `${date.slice(0, 10)}, ${quick ? `a quick run, medians of ${rounds} rounds` : `medians of ${rounds} rounds`}, on ${cores} × ${cpu}, ${memory}, ${os} (Linux ${kernel}), Node ${node}.`,
    '',
    `Peers: ${peers.map(({ name, title = name, version }) => `${title} ${version}`).join(', ')}.`,
    ...missing,
    '',
    'Latency is measured from the scheduled send time, so a server that falls behind shows growing latency; columns',
    '"from broadcast" are measured from the actual call. Load and clients ran on the same machine. "×": deliveries per CPU',
    'second of pylon-sse divided by those of the peer; "× memory": memory per client of the peer divided by that of pylon-sse.',
    ''
  ]
  for (const [row, byPeer] of Object.entries(rows))
    lines.push(`## ${TITLES[row]}`, '', ...table(row, byPeer, CASES_PEERS[row] ?? peers), '')
  return lines.join('\n')
}

function table(row, byPeer, peers) {
  const columns = COLUMNS[row] ?? MEASURED
  const present = peers.filter(({ name }) => byPeer[name] !== undefined)
  const own = byPeer[OWN]
  const by = RATIOS[row] ?? USUAL_RATIO
  return [
    `| | ${columns.map(([head]) => head).join(' | ')} | ${by.head} | |`,
    `|---|${'--:|'.repeat(columns.length + 1)}---|`,
    ...present.map(({ name, title = name }) => {
      const figures = byPeer[name]
      const ratio = name === OWN ? '' : digits(by.of(own ?? {}, figures))
      return `| ${title} | ${columns.map(([, show]) => show(figures)).join(' | ')} | ${ratio} | ${remarks(figures)} |`
    })
  ]
}

function remarks({ held, published, events, faults, delivered, othersShare }) {
  const said = [...faults]
  if (delivered !== undefined) said.push(`${short(delivered)} deliveries until then`)
  if (held !== undefined && held < 0.97) said.push(`${digits(held * 100)} % of the offered load`)
  if (published < events) said.push(`${events - published} of ${events} events not published in time`)
  if (othersShare > BUSY) said.push(`the machine was ${digits(othersShare * 100)} % busy with other things`)
  return said.join('; ')
}
