// The script of the dashboard: one EventSource, whose events are snapshots of the hub (snapshot.ts). Everything that
// comes from clients goes into text nodes.

/** Number of points of a sparkline. */
const POINTS = 60
/** Time without a snapshot after which the page says that it is cut off, ms: an open stream may be silent, too. */
const SILENCE = 10_000
/**
 * Number of events from which a client is shown to be behind. Not 1, since a snapshot may come between a broadcast and
 * its flush.
 */
const FAR = 10

const { base } = document.getElementById('script').dataset
const byId = (id) => document.getElementById(id)
/** Values of a tile, the newest last. */
const series = new Map()
/** Rows of clients, by id. */
const rows = new Map()
let before
let timer
let isWritable = false

const source = new EventSource(`${base}events`)
source.addEventListener('snapshot', ({ data }) => show(JSON.parse(data)))
source.addEventListener('error', () => setState('lost', 'connection lost, trying again'))
byId('query').addEventListener('input', () => find())

function show(snapshot) {
  clearTimeout(timer)
  timer = setTimeout(() => setState('lost', 'no news'), SILENCE)
  isWritable = snapshot.isWritable
  byId('process').textContent = `hub ${snapshot.hub} · ${snapshot.host} · process ${snapshot.pid}`
  setState(snapshot.stats.ready ? 'live' : 'lost', snapshot.stats.ready ? 'live' : 'not ready')
  showTiles(snapshot)
  showTopics(snapshot)
  fill(
    'disconnects',
    snapshot.disconnects.map(({ at, reason, duration, ip }) => [
      cell(new Date(at).toLocaleTimeString()),
      cell(reason, isBad(reason) ? 'bad' : ''),
      cell(span(duration)),
      cell(ip ?? '')
    ])
  )
  showTotals(snapshot.stats)
  showBackplane(snapshot.stats)
  if (byId('query').value === '') showClients(snapshot.clients, snapshot.stats.connected)
  else find()
  before = snapshot
}

function showTiles({ at, stats, topics }) {
  const seconds = before === undefined ? 0 : (at - before.at) / 1000
  const rate = (name) => (seconds > 0 ? Math.max(0, stats[name] - before.stats[name]) / seconds : 0)
  tile('Clients', stats.connected, number)
  tile('Events/s', rate('events'), number)
  tile('Deliveries/s', rate('deliveries'), number)
  tile('Sent/s', rate('bytes'), bytes)
  tile('Slowest lag, events', stats.slowestLag, number)
  tile('Dropped events/s', rate('dropped'), number, rate('dropped') > 0)
  tile('Topics', topics.total, number)
  if (stats.backplane) {
    const { name, connected, lag } = stats.backplane
    tile(`Lag of ${name}, ms`, connected ? (lag ?? 0) : Number.NaN, number, !connected)
  }
}

function tile(title, value, format, isWrong = false) {
  let known = series.get(title)
  if (known === undefined) {
    const box = element('div', { className: 'tile' })
    const output = element('output')
    const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg')
    svg.setAttribute('viewBox', `0 0 ${POINTS - 1} 20`)
    svg.setAttribute('preserveAspectRatio', 'none')
    svg.setAttribute('aria-hidden', 'true')
    const line = svg.appendChild(document.createElementNS('http://www.w3.org/2000/svg', 'polyline'))
    box.append(element('h2', { textContent: title }), output, svg)
    byId('tiles').append(box)
    known = { box, output, line, values: [] }
    series.set(title, known)
  }
  const { box, output, line, values } = known
  box.classList.toggle('bad', isWrong)
  output.textContent = Number.isNaN(value) ? 'away' : format(value)
  values.push(Number.isNaN(value) ? 0 : value)
  if (values.length > POINTS) values.shift()
  const top = Math.max(...values, 1)
  const from = POINTS - values.length
  line.setAttribute('points', values.map((each, i) => `${from + i},${19 - (each / top) * 18}`).join(' '))
}

/**
 * Updates the rows of clients in place, so that a button stays under the pointer. While the pointer is over the table,
 * their order is kept.
 */
function showClients(clients, total) {
  byId('shown').textContent = total > clients.length ? `${clients.length} of ${number(total)}, the slowest first` : ''
  const body = byId('clients').tBodies[0]
  const isHeld = body.matches(':hover')
  const ids = new Set(clients.map(({ id }) => id))
  for (const [id, { row }] of rows) {
    if (ids.has(id)) continue
    row.remove()
    rows.delete(id)
  }
  let next = body.firstElementChild
  for (const client of clients) {
    const known = rows.get(client.id) ?? makeRow(client)
    rows.set(client.id, known)
    updateRow(known, client)
    if (isHeld && known.row.isConnected) continue
    if (known.row === next) next = next.nextElementSibling
    else body.insertBefore(known.row, isHeld ? null : next)
  }
}

function makeRow({ id, ip }) {
  const labelled = (label) => {
    const made = cell('')
    made.dataset.label = label
    return made
  }
  const made = { row: element('tr'), age: labelled('here for'), lag: labelled('behind'), topics: labelled('topics') }
  const actions = element('td', { className: 'actions' })
  if (isWritable) {
    made.pause = button(id, () => (made.isPaused ? 'resume' : 'pause'))
    made.close = button(id, () => 'close')
    name(made.close, 'Close', id)
    actions.append(made.pause, made.close)
  }
  made.row.append(cell(id, 'mono'), cell(ip ?? 'unix socket'), made.age, made.lag, made.topics, actions)
  return made
}

function updateRow(made, { id, age, lag, topics, topicCount, isPaused }) {
  made.isPaused = isPaused
  made.age.textContent = span(age)
  made.lag.textContent = isPaused ? `${number(lag)} (paused)` : number(lag)
  made.lag.className = lag >= FAR || isPaused ? 'bad' : ''
  const more = topicCount > topics.length ? ` and ${topicCount - topics.length} more` : ''
  made.topics.textContent = topics.join(', ') + more || '–'
  if (made.pause) name(made.pause, isPaused ? 'Resume' : 'Pause', id)
}

function name(made, text, id) {
  if (made.textContent === text) return
  made.textContent = text
  made.setAttribute('aria-label', `${text} client ${id}`)
}

function button(id, action) {
  const made = element('button', { type: 'button' })
  made.addEventListener('click', async () => {
    made.disabled = true
    await fetch(`${base}clients/${encodeURIComponent(id)}/${action()}`, { method: 'POST' }).catch(() => {})
    made.disabled = false
  })
  return made
}

let asked = 0
let shown = 0
async function find() {
  const query = byId('query').value
  if (query === '') return
  const turn = ++asked
  const answer = await fetch(`${base}clients?q=${encodeURIComponent(query)}`).catch(() => undefined)
  if (!answer?.ok) return
  const { clients, total } = await answer.json()
  // An answer that takes longer than the next question is shown, too.
  if (turn < shown || byId('query').value !== query) return
  shown = turn
  showClients(clients, total)
}

function showTopics({ topics }) {
  byId('topic-count').textContent =
    topics.total > topics.top.length ? `${topics.top.length} of ${number(topics.total)}` : ''
  fill(
    'topics',
    topics.top.map(([topic, count]) => [cell(topic), cell(number(count))])
  )
}

function showTotals({ accepted, dropped, resyncs, rejected, disconnects }) {
  const lines = [
    ['accepted', number(accepted)],
    ['events dropped', number(dropped)]
  ]
  for (const [what, counts] of Object.entries({ resync: resyncs, rejected, ended: disconnects })) {
    for (const [reason, count] of Object.entries(counts))
      if (count > 0) lines.push([`${what}: ${reason}`, number(count)])
  }
  describe('totals', lines)
}

function showBackplane({ backplane, history }) {
  const held = [
    ['events held', number(history.events)],
    ['bytes held', bytes(history.bytes)],
    ['the oldest is from', history.oldestAge === null ? '–' : `${span(history.oldestAge)} ago`]
  ]
  if (!backplane) {
    describe('backplane', [['backplane', 'none'], ...held])
    return
  }
  const { name, connected, lag, pending, lost, foreign } = backplane
  describe('backplane', [
    [name, connected ? 'connected' : 'out of reach'],
    ['lag', lag === null ? '–' : `${number(lag)} ms`],
    ['waiting for it', number(pending)],
    ['lost', number(lost)],
    ['foreign entries', number(foreign)],
    ...held
  ])
}

/** Replaces the rows of a table. */
function fill(id, lines) {
  const made = lines.map((cells) => {
    const row = element('tr')
    row.append(...cells)
    return row
  })
  byId(id).tBodies[0].replaceChildren(...made)
}

function describe(id, lines) {
  const pairs = lines.flatMap(([term, value]) => [
    element('dt', { textContent: term }),
    element('dd', { textContent: value })
  ])
  byId(id).replaceChildren(...pairs)
}

function setState(name, text) {
  byId('state').className = name
  byId('state').textContent = text
}

function element(name, properties = {}) {
  return Object.assign(document.createElement(name), properties)
}

function cell(text, className = '') {
  return element('td', { textContent: text, className })
}

/** Whether a reason for a disconnect is a problem. */
function isBad(reason) {
  return ['overflow', 'stalled', 'error'].includes(reason)
}

function number(value) {
  return value.toLocaleString('en', { maximumFractionDigits: value < 10 ? 1 : 0 })
}

function bytes(value) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let unit = 0
  let left = value
  while (left >= 1000 && unit < units.length - 1) {
    left /= 1000
    unit++
  }
  return `${number(left)} ${units[unit]}`
}

/** A time span, given in ms. */
function span(ms) {
  const seconds = Math.round(ms / 1000)
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`
}
