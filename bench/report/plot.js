// Draws the results as the picture of the README.

import { OWN } from '../peers/peers.js'
import { digits, short } from './numbers.js'

const WIDTH = 860
const LABELS = 150
const VALUES = 90
const BAR = 16
const STEP = 22
const SHOWN = { burst: 'burst', paced: 'paced', 'sustained-100': '100 events/s' }
const PANELS = [
  { title: 'Deliveries a CPU second (more is better)', of: ({ perCpuSecond }) => perCpuSecond, show: short },
  {
    title: 'Latency p99, ms from when due (less is better)',
    of: ({ latency }) => latency?.p99,
    show: (n) => `${digits(n)} ms`
  }
]
const STYLE = `
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 15px; font-weight: 600 }
  .case { font-weight: 600 }
  .note { font-size: 11px; fill: #57606a }
  .peer { fill: #8c959f }
  .own { fill: #1a7f37 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .note { fill: #9198a1 }
    .peer { fill: #6e7681 }
    .own { fill: #3fb950 }
  }`

/** The results as an SVG: bars on a logarithmic scale, since the values differ by orders of magnitude. */
export function svg({ date, quick, machine, peers, rows }) {
  const parts = []
  let y = 0
  for (const panel of PANELS) {
    y += 34
    parts.push(text(0, y, panel.title, 'title'))
    const groups = Object.keys(SHOWN).map((row) => ({ row, bars: bars(panel, rows[row], peers) }))
    const values = groups.flatMap((group) => group.bars.map(({ value }) => value))
    if (values.length === 0) continue
    const low = Math.log10(Math.min(...values)) - 0.4
    const span = Math.log10(Math.max(...values)) - low
    for (const { row, bars } of groups.filter((group) => group.bars.length > 0)) {
      y += 26
      parts.push(text(0, y, SHOWN[row], 'case'))
      y += 8
      for (const { name, label, value } of bars) {
        const length = Math.max(2, ((Math.log10(value) - low) / span) * (WIDTH - LABELS - VALUES))
        parts.push(text(LABELS - 10, y + 13, label, '', 'end'))
        parts.push(
          `<rect class="${name === OWN ? 'own' : 'peer'}" x="${LABELS}" y="${y}" width="${length.toFixed(1)}" height="${BAR}" rx="2"/>`
        )
        parts.push(text(LABELS + length + 8, y + 13, panel.show(value)))
        y += STEP
      }
    }
  }
  y += 24
  const { cpu, cores, node } = machine
  const how = `Logarithmic scale. ${quick ? 'Quick run' : 'Full run'}, ${date.slice(0, 10)}, ${cores} × ${cpu}, Node ${node}.`
  parts.push(text(0, y, how, 'note'))
  const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-12 0 ${WIDTH + 24} ${y + 12}" role="img" aria-label="Deliveries a CPU second and p99 latency, by library">`
  return `${head}\n<style>${STYLE}\n</style>\n${parts.join('\n')}\n</svg>\n`
}

function bars({ of }, byPeer = {}, peers) {
  return peers
    .map(({ name, title = name }) => ({ name, label: title, value: byPeer[name] && of(byPeer[name]) }))
    .filter(({ value }) => value > 0)
}

function text(x, y, content, style = '', anchor = 'start') {
  const escaped = content.replace(/&/g, '&amp;').replace(/</g, '&lt;')
  return `<text x="${x.toFixed(1)}" y="${y}"${style && ` class="${style}"`} text-anchor="${anchor}">${escaped}</text>`
}
