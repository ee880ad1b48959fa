// Compares the results with what this plugin claims (`--check`).

import { LEAST, OWN, RIVAL } from '../peers/peers.js'
import { digits, short } from './numbers.js'

const LOOP = 'res-write'
/** The default of `history.bytes`, MiB. */
const LOG = 16
/** 1 MB in MiB. */
const MB = 1 / 1.048576

/** What the benchmark must show. A claim whose figure is missing is `not measured`. */
const CLAIMS = [
  [
    'burst: ≥ 15 × better-sse’s deliveries per CPU second',
    (is) => above(15, ratio(is('burst'), is('burst', RIVAL)), '×')
  ],
  ['paced: ≤ 0.65 × better-sse’s CPU a delivery', (is) => below(0.65, cpuRatio(is('paced'), is('paced', RIVAL)), '×')],
  ['paced: ≤ 0.85 × the res.write loop’s', (is) => below(0.85, cpuRatio(is('paced'), is('paced', LOOP)), '×')],
  ['sustained 100/s: held within 2 %', (is) => above(98, percent(is('sustained-100')?.held), '%')],
  [
    'sustained 100/s: p99 under 1/20 of better-sse’s',
    (is) => below(1 / 20, is('sustained-100')?.latency?.p99 / is('sustained-100', RIVAL)?.latency?.p99, '×')
  ],
  ['sustained 1,000/s: 5 M deliveries/s offered', (is) => above(5e6, is('sustained-1000')?.offered, '/s')],
  ['sustained 1,000/s: held within 3 %', (is) => above(97, percent(is('sustained-1000')?.held), '%')],
  ['sustained 1,000/s: p99 ≤ 150 ms', (is) => below(150, is('sustained-1000')?.latency?.p99, 'ms')],
  ['sustained 1,000/s: RSS under 300 MB', (is) => below(300 * MB, is('sustained-1000')?.rss, 'MiB')],
  ['topics: 10,000 events/s held', (is) => above(98, percent(is('topics')?.held), '%')],
  [
    'topics: CPU a delivery within 1.5 × of the paced case',
    (is) => below(1.5, cpuRatio(is('topics'), is('paced')), '×')
  ],
  [
    'topics: CPU a delivery within 1.25 × of the least that one socket.write takes',
    (is) => below(1.25, cpuRatio(is('topics'), is('topics', LEAST)), '×')
  ],
  ['rooms: 10,000 events/s held', (is) => above(98, percent(is('rooms')?.held), '%')],
  ['stuck: RSS grows by ≤ the log’s bytes and 64 MB', (is) => below(LOG + 64 * MB, is('stuck')?.rssGrowth, 'MiB')],
  [
    'stuck: the readers’ p99 within 1.5 × of without',
    (is) => below(1.5, is('stuck')?.latency?.p99 / is('stuck-none')?.latency?.p99, '×')
  ],
  ['herd: all resumed, complete, within 5 s', (is) => below(5, is('herd')?.seconds, 's')],
  [
    'herd: shares bytes (RSS grows by under a quarter of what is replayed)',
    (is) => below(0.25, (is('herd')?.rss - is('herd')?.rssBefore) / is('herd')?.replayedMiB, '×')
  ],
  [
    'resume: CPU a client over 200,000 events within 1.3 × of that over 2,000',
    (is) => below(1.3, cpuRatio(is('resume-200000'), is('resume-2000')), '×')
  ],
  [
    'resume: CPU a client over 200,000 events within 1.5 × of a new client and 20 deliveries',
    (is) => below(1.5, cpuRatio(is('resume-200000'), is('resume-fresh')), '×')
  ],
  ...[2000, 20_000, 200_000].map((events) => [
    `resume: patterns within 2 × of topics over ${short(events)} events`,
    (is) => below(2, cpuRatio(is(`resume-pattern-${events}`), is(`resume-${events}`)), '×')
  ]),
  ['idle: ≤ 11 KB RSS a client', (is) => below(11, is('idle')?.perClient, 'KB')],
  ['idle: ≤ 0.6 × better-sse’s', (is) => below(0.6, is('idle')?.perClient / is('idle', RIVAL)?.perClient, '×')],
  [
    'idle: connects/s ≥ 1.5 × better-sse’s',
    (is) => above(1.5, is('idle')?.connectsPerSecond / is('idle', RIVAL)?.connectsPerSecond, '×')
  ],
  ...[100, 500, 1000].map((rate) => [
    `neighbour: p99 ≤ 25 ms at ${rate}/s`,
    (is) => below(25, is(`sustained-${rate}`)?.neighbour?.p99, 'ms')
  ])
]
/** Rows of this plugin that must be free of faults. */
const COMPLETE = [
  'burst',
  'paced',
  'sustained-100',
  'sustained-500',
  'sustained-1000',
  'topics',
  'rooms',
  'stuck',
  'herd',
  'resume-fresh',
  'resume-2000',
  'resume-20000',
  'resume-200000',
  'resume-pattern-2000',
  'resume-pattern-20000',
  'resume-pattern-200000'
]

/** @returns {{ claim: string, verdict: 'held' | 'missed' | 'not measured', figure: string }[]} */
export function checkClaims({ rows }) {
  const is = (row, peer = OWN) => rows[row]?.[peer]
  const checked = CLAIMS.map(([claim, check]) => ({ claim, ...check(is) }))
  for (const row of COMPLETE.filter((row) => is(row) !== undefined)) {
    const { faults } = is(row)
    const verdict = faults.length === 0 ? 'held' : 'missed'
    checked.push({ claim: `${row}: complete, once, in order`, verdict, figure: faults.join('; ') })
  }
  return checked
}

function ratio(own, peer) {
  return own?.perCpuSecond / peer?.perCpuSecond
}

function cpuRatio(own, peer) {
  return own?.cpu / peer?.cpu
}

function percent(part) {
  return part * 100
}

function above(bound, figure, unit) {
  return verdict(figure >= bound, figure, unit)
}

function below(bound, figure, unit) {
  return verdict(figure <= bound, figure, unit)
}

function verdict(held, figure, unit) {
  if (figure === undefined || Number.isNaN(figure)) return { verdict: 'not measured', figure: '' }
  const shown = unit === '/s' ? short(figure) : figure < 0.1 ? figure.toFixed(4) : digits(figure)
  return { verdict: held ? 'held' : 'missed', figure: `${shown} ${unit}` }
}
