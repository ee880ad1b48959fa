// `npm run bench`: runs the cases with the peers, and writes the results to bench/results/.

import { mkdirSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { CASES, isPlanned, isWanted } from './cases/cases.js'
import { describeMachine, openFilesLimit } from './machine/machine.js'
import { availablePeers, OWN } from './peers/peers.js'
import { checkClaims } from './report/claims.js'
import { medians } from './report/medians.js'
import { svg } from './report/plot.js'
import { markdown } from './report/table.js'
import { Stage } from './stage/stage.js'

const KNOWN_CASES = [
  'burst',
  'paced',
  'sustained',
  'neighbour',
  'topics',
  'rooms',
  'stuck',
  'herd',
  'resume',
  'idle',
  'gzip'
]
const KNOWN_PEERS = ['pylon-sse', 'better-sse', 'fastify-sse', 'res-write', 'socket-write', 'nchan']
const HELP = `npm run bench -- [CASE …] [--quick] [--check] [--docs] [--peers a,b] [--rounds n]

  CASE      ${KNOWN_CASES.join(', ')}; default: all
  It fails if anything is wrong with what pylon-sse delivers.

  --quick   takes little more than a minute: one round, short windows, fewer clients in stuck and herd, the main peers
  --check   compares the results with what the benchmark must show
  --docs    writes the table and the plot to docs/ as well
  --peers   ${KNOWN_PEERS.join(', ')}; default: all
  --rounds  default 3 (1 with --quick)
`
/** File descriptors of the largest case, and some that a process opens besides. */
const FILES_NEEDED = 15_700
const RESULTS = new URL('results/', import.meta.url)
const DOCS = new URL('../docs/', import.meta.url)

/** The closing of the previous stage. */
let clearing = Promise.resolve()

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
    docs: { type: 'boolean', default: false },
    peers: { type: 'string' },
    rounds: { type: 'string' },
    help: { type: 'boolean', default: false }
  }
})

if (values.help) process.stdout.write(HELP)
else await run(positionals.length > 0 ? positionals : undefined, values)

async function run(names, { quick, check, docs, peers: asked, rounds: given }) {
  const { peers: available, missing } = availablePeers()
  const peers = available.filter(({ name }) => asked === undefined || asked.split(',').includes(name))
  refuseUnknown('peer', asked?.split(','), KNOWN_PEERS)
  refuseUnknown('case', names, KNOWN_CASES)
  const rounds = Number(given ?? (quick ? 1 : 3))
  const files = openFilesLimit()
  if (files < FILES_NEEDED) {
    missing.push(`Only ${files} files may be open (ulimit -Hn), the largest case needs ${FILES_NEEDED}: it will fail.`)
  }
  for (const line of missing) console.error(line)

  const taken = {}
  for (let round = 0; round < rounds; round++) {
    for (const one of CASES) {
      const wanted = (row) => isWanted(row, names)
      if (!one.rows.some(wanted)) continue
      // The peers take turns in going first, since the first one finds the machine as the previous case left it.
      const ones = one.peers ?? peers
      for (const { name: peer } of [...ones.slice(round % ones.length), ...ones.slice(0, round % ones.length)]) {
        if (names === undefined && asked === undefined && !isPlanned(one, peer, round, quick)) continue
        const rows = await perform(one, { peer, quick, round, own: peer === OWN, wanted }, files)
        for (const [row, figures] of Object.entries(rows)) {
          taken[row] ??= {}
          taken[row][peer] ??= []
          taken[row][peer].push(figures)
          console.error(progress(round, row, peer, figures))
        }
      }
    }
  }

  await clearing
  const rows = {}
  for (const [row, byPeer] of Object.entries(taken)) {
    rows[row] = Object.fromEntries(Object.entries(byPeer).map(([peer, figures]) => [peer, medians(figures)]))
  }
  const result = {
    date: new Date().toISOString(),
    quick,
    rounds,
    machine: describeMachine(),
    peers,
    missing,
    rows,
    taken
  }
  mkdirSync(RESULTS, { recursive: true })
  writeFileSync(new URL('latest.json', RESULTS), `${JSON.stringify(result, rounded, 2)}\n`)
  writeFileSync(new URL('latest.md', RESULTS), markdown(result))
  writeFileSync(new URL('latest.svg', RESULTS), svg(result))
  if (docs) {
    writeFileSync(new URL('benchmark.md', DOCS), markdown(result))
    writeFileSync(new URL('benchmark.svg', DOCS), svg(result))
  }
  if (!check) console.log(markdown(result))
  else
    for (const { claim, verdict, figure } of checkClaims(result))
      console.log(`${verdict.padEnd(13)} ${claim}  ${figure}`)
  if (Object.values(taken).some((byPeer) => byPeer[OWN]?.some(({ faults }) => faults.length > 0))) process.exitCode = 1
}

function refuseUnknown(what, given, known) {
  const unknown = given?.find((name) => !known.includes(name))
  if (unknown !== undefined) throw new Error(`There is no ${what} '${unknown}': ${known.join(', ')}`)
}

/** Runs one case with one peer on a stage of its own, and stops it after the case's longest time. */
async function perform(one, options, files) {
  // The processes of this stage start while those of the previous one exit.
  const stage = new Stage(files)
  await clearing
  const rows = {}
  let timer
  const overtime = new Promise((_resolve, reject) => {
    timer = setTimeout(() => {
      stage.abort(`stopped after ${one.seconds} s`)
      reject(new Error(stage.fault))
    }, one.seconds * 1e3)
  })
  const running = one.run(stage, options, rows)
  try {
    await Promise.race([running, overtime])
    return rows
  } catch (err) {
    running.catch(() => {})
    // Rows that were measured before the failure are kept.
    const failed = one.rows.filter((row) => options.wanted(row) && rows[row] === undefined)
    return { ...rows, ...Object.fromEntries(failed.map((row) => [row, { faults: [stage.fault ?? err.message] }])) }
  } finally {
    clearTimeout(timer)
    clearing = stage.close()
  }
}

function progress(round, row, peer, figures) {
  const { reached, cpu, latency, rss, perClient, connectsPerSecond, othersShare, faults } = figures
  const said = Object.entries({ reached, cpu, p99: latency?.p99, rss, perClient, connectsPerSecond, othersShare })
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key} ${Number(value.toPrecision(4))}`)
  return `${round + 1} ${row.padEnd(15)} ${peer.padEnd(12)} ${[...said, ...faults].join(', ')}`
}

function rounded(_key, value) {
  return typeof value === 'number' ? Number(value.toPrecision(6)) : value
}
