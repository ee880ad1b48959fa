// `npm run bench:observing [rounds]`: what observing costs. Pairs of the same load, with all of it on and with all of it off, in turn.

import { underLoad } from './cases/load.js'
import { describeMachine, openFilesLimit } from './machine/machine.js'
import { median } from './report/medians.js'
import { Stage } from './stage/stage.js'

const OFF = 'pylon-sse'
const ON = 'pylon-sse-observed'
const CLIENTS = 5000
const LOADS = [
  // Long, since so few events vary by several percent in a short window.
  { row: 'paced', rate: 1 / 0.3, seconds: 60, warmUp: 3 },
  { row: '100 events/s', rate: 100, seconds: 12, warmUp: 2 }
]
const rounds = Number(process.argv[2] ?? 3)

const { cpu, cores, os, kernel, node } = describeMachine()
console.log(`${cores} × ${cpu}, ${os} (Linux ${kernel}), Node ${node}; ${CLIENTS} clients`)
const ratios = new Map(LOADS.map(({ row }) => [row, []]))
const noise = new Map(LOADS.map(({ row }) => [row, []]))
for (let round = 0; round < rounds; round++) {
  // Off twice: what two equal runs differ by is the noise. The order changes, since the machine may warm up.
  const order = round % 2 === 0 ? [OFF, ON, OFF] : [ON, OFF, OFF]
  const figures = []
  for (const peer of order) figures.push({ peer, ...(await measure(peer)) })
  const on = figures.find(({ peer }) => peer === ON)
  const [first, second] = figures.filter(({ peer }) => peer === OFF)
  for (const { row } of LOADS) {
    const off = (first[row].cpu + second[row].cpu) / 2
    ratios.get(row).push(on[row].cpu / off)
    noise.get(row).push(Math.abs(first[row].cpu / second[row].cpu - 1))
    const others = Math.max(...figures.map((each) => each[row].othersShare))
    const shown = [first, second, on].map((each) => each[row].cpu.toFixed(3)).join(', ')
    console.log(`${row}: CPU µs a delivery off, off, on: ${shown}; others at most ${percent(others)}`)
  }
}
console.log('\n| load | on / off, median | off / off differ by, median | pairs |\n|---|--:|--:|--:|')
for (const { row } of LOADS) {
  const cost = median(ratios.get(row)) - 1
  console.log(`| ${row} | ${percent(cost, true)} | ${percent(median(noise.get(row)))} | ${rounds} |`)
}

async function measure(peer) {
  const stage = new Stage(openFilesLimit())
  try {
    await stage.open(peer)
    await stage.connect({ clients: CLIENTS })
    const figures = {}
    for (const { row, ...load } of LOADS) {
      figures[row] = await underLoad(stage, { ...load, readersOfEach: CLIENTS })
      if (figures[row].faults.length > 0) throw new Error(`${peer}, ${row}: ${figures[row].faults}`)
    }
    return figures
  } finally {
    await stage.close()
  }
}

function percent(share, signed = false) {
  return `${signed && share >= 0 ? '+' : ''}${(share * 100).toFixed(1)} %`
}
