import { Board } from './board.js'
import { Replica } from './replica.js'
import { Stream } from './stream.js'

const find = (id) => document.getElementById(id)

const board = new Board(find('board'), {
  template: find('card'),
  onChange: (id, changes) => change('PATCH', `/api/tasks/${id}`, changes),
  onDelete: (id) => change('DELETE', `/api/tasks/${id}`)
})

const replica = new Replica(board, () => request('GET', '/api/tasks'))

const stream = new Stream('/events', {
  onState: showState,
  on: { change: (event) => replica.receive(event), presence: showPeople, resync: reload }
})

// What the board had seen when it lost the stream, and whether the server has begun to count anew since.
let seqWhenLost
let restarted = false

function showState(state, resumed) {
  const live = state === 'live'
  find('connection').dataset.state = state
  find('connection').textContent = live ? 'Live' : 'Reconnecting'
  if (!live) noteLoss()
  // The missed events come right behind the connection, but nothing says which is the last of them.
  if (live && resumed) setTimeout(tellCaughtUp, 500)
  // Rows read before the stream was open are something to look at, but changes made since then would be missing.
  if (!replica.loaded || (live && !resumed)) load()
}

function noteLoss() {
  if (replica.loaded) seqWhenLost ??= replica.seq
}

/** The stream has lost events for good, and goes on from here: the rows themselves say what came of them. */
function reload({ reason }) {
  noteLoss()
  if (reason === 'unknown') restarted = true
  load()
}

let retry

async function load() {
  clearTimeout(retry)
  try {
    if (await replica.load()) tellCaughtUp()
  } catch {
    clearTimeout(retry)
    retry = setTimeout(load, 1000 + Math.random() * 2000)
  }
}

function tellCaughtUp() {
  if (stream.state !== 'live' || !replica.loaded || seqWhenLost === undefined) return
  const missed = replica.seq - seqWhenLost
  if (restarted) notify('The board was reloaded')
  else if (missed > 0) notify(`Caught up on ${missed} ${missed === 1 ? 'change' : 'changes'}`)
  seqWhenLost = undefined
  restarted = false
}

function showPeople({ count }) {
  find('people').hidden = false
  find('people').textContent = count === 1 ? '1 person here' : `${count} people here`
}

/** The board shows a change when it comes back by the stream, as it does in every other tab. */
async function change(method, url, body) {
  try {
    await request(method, url, body)
  } catch (error) {
    notify(error.message, 'error')
    return false
  }
  if (stream.state !== 'live') load()
  return true
}

async function request(method, url, body) {
  const response = await fetch(url, {
    method,
    headers: body && { 'content-type': 'application/json' },
    body: body && JSON.stringify(body)
  }).catch(() => {
    throw new Error('The server cannot be reached. Try again in a moment.')
  })
  if (response.status === 204) return undefined
  const answer = await response.json().catch(() => ({}))
  if (!response.ok) throw new Error(answer.message ?? `The server answered ${response.status}.`)
  return answer
}

let noticeTimer

function notify(text, kind = 'info') {
  const notice = find('notice')
  notice.classList.add('shown')
  notice.dataset.kind = kind
  notice.textContent = text
  clearTimeout(noticeTimer)
  noticeTimer = setTimeout(() => notice.classList.remove('shown'), 5000)
}

find('new').onsubmit = async (event) => {
  event.preventDefault()
  const input = find('new-title')
  const title = input.value.trim()
  if (!title) return
  // At once, so that the next one can be typed meanwhile.
  input.value = ''
  if (!(await change('POST', '/api/tasks', { title }))) input.value ||= title
}

// A connection that outlives a change of networks is dead more often than not, and says so only minutes later.
addEventListener('offline', () => stream.openLater())
addEventListener('online', () => stream.open())

// A page that the browser keeps for the back button should not hold a connection meanwhile.
addEventListener('pagehide', () => stream.close())
addEventListener('pageshow', (event) => event.persisted && stream.open())

stream.open()
