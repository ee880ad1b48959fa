// The page of the task board: which view is shown, and what its forms and buttons do.

import { Room } from './board/room.js'
import { request } from './network/request.js'
import { onSubmit } from './page/form.js'
import { describeMembers, Lobby } from './page/lobby.js'
import { notify, notifyOf } from './page/notice.js'
import { showPeople } from './page/people.js'
import { slugOf } from './shared/slug.js'

const STATES = {
  connecting: 'Connecting',
  'catching-up': 'Catching up',
  live: 'Live',
  reconnecting: 'Reconnecting'
}
/** Which tab of this browser has the connection. */
const ROLES = { leader: 'This tab keeps the connection', follower: 'Uses another tab’s connection' }

const find = (id) => document.getElementById(id)

/** The user's name and rooms; undefined before the login. */
let me
/** The current view with a stream: a room or the lobby. The room's name is in the URL, which can be shared. */
let place

/** Asks the server who is logged in: that may have changed in another tab, or by a restart of the server. */
async function enter() {
  try {
    const before = me?.name
    me = await request('GET', '/api/me')
    if (before !== me.name) leave()
    showPlace()
    if (place.live.hasEnded) openLater(place)
  } catch (error) {
    if (error.status === 401) return showLogin(reasonOf(error))
    // An open view reconnects by itself.
    if (place && !place.live.hasEnded) return
    notifyOf(error)
    setTimeout(enter, 1000 + Math.random() * 2000)
  }
}

/** Opens a stream again that the server has ended, for somebody who may have it: who has logged in anew, say. */
function openLater({ live }) {
  setTimeout(() => {
    if (place?.live === live && live.hasEnded) live.open()
  }, 1000)
}

/** The reason for the login view, if the user was logged in. */
function reasonOf({ code, message }) {
  if (code !== 'LOGIN_REQUIRED') return `${message}.`
  return me && 'You are logged out, here or in another tab.'
}

function showPlace() {
  find('my-name').textContent = me.name
  const name = nameInUrl()
  const room = me.rooms.find((one) => one.name === name)
  if (room) return showRoom(room)
  if (name) {
    notify(`There is no room “${name}”, or it is not for you`, { kind: 'error' })
    history.replaceState(null, '', location.pathname)
  }
  showLobby()
}

function nameInUrl() {
  try {
    return decodeURIComponent(location.hash.slice(1))
  } catch {
    return location.hash.slice(1)
  }
}

/** @param {string} [reason] shown to a user who did not log out */
function showLogin(reason = '') {
  if (me) find('login-name').value = me.name
  me = undefined
  leave()
  show('login', 'Task board')
  find('login-reason').textContent = reason
  // With a reason the view comes unasked: the user may be typing something else, which must not go into the name.
  if (!reason) find('login-name').focus()
}

function showLobby() {
  if (place instanceof Lobby) return
  leave()
  show('lobby', 'Rooms')
  place = new Lobby({
    user: me.name,
    list: find('rooms'),
    template: find('room-card'),
    rooms: me.rooms,
    onState: showState,
    onRefused: enter
  })
}

function showRoom({ name, title, members }) {
  if (place?.name === name) return
  leave()
  show('room', title)
  find('room-slug').textContent = `#${name}`
  find('room-members').textContent = describeMembers(members)
  const board = find('board').content.firstElementChild.cloneNode(true)
  find('board-place').replaceChildren(board)
  showPeople(find('people'), [])
  place = new Room({
    name,
    user: me.name,
    element: board,
    templates: { card: find('card'), editor: find('editor'), waiting: find('waiting') },
    log: find('log'),
    onState: showState,
    onPeople: (names) => showPeople(find('people'), names, me.name),
    onRefused: enter
  })
}

function leave() {
  place?.close()
  place = undefined
  find('log').replaceChildren()
}

/** Shows the elements of a view, and hides the others. */
function show(view, heading) {
  for (const element of document.querySelectorAll('[data-views]')) {
    element.hidden = !element.dataset.views.split(' ').includes(view)
  }
  find('heading').textContent = heading
  document.title = view === 'login' ? heading : `${heading} · Task board`
  // Screen readers read the heading of the new view.
  find('heading').focus()
}

function showState({ state, role }) {
  find('connection').dataset.state = state
  find('connection-state').textContent = STATES[state]
  find('connection-role').textContent = ROLES[role] ?? ''
}

onSubmit(find('login'), async ({ name }) => {
  await request('POST', '/api/login', { body: { name: name.value.trim() } })
  await enter()
})

find('logout').onclick = async () => {
  try {
    await request('POST', '/api/logout')
    find('new').reset()
    showLogin()
  } catch (error) {
    notifyOf(error)
  }
}

onSubmit(find('new-room'), async ({ title, members }) => {
  const names = members.value.split(',').flatMap((name) => name.trim() || [])
  try {
    const room = await request('POST', '/api/rooms', { body: { title: title.value.trim(), members: names } })
    find('new-room').reset()
    me.rooms.push(room)
    location.hash = encodeURIComponent(room.name)
  } catch (error) {
    if (error.status === 401) return enter()
    throw error
  }
})

find('new-room').oninput = () => {
  const slug = slugOf(find('room-title').value)
  find('room-preview').textContent = slug && `In its address: #${slug}`
}
find('new-room').onreset = () => {
  find('room-preview').textContent = ''
}

find('new').onsubmit = (event) => {
  event.preventDefault()
  const input = find('new-title')
  const title = input.value.trim()
  // Cleared at once, so that the next task can be typed while this one is sent.
  input.value = ''
  if (title) place.add(title)
}

addEventListener('hashchange', () => {
  if (!me) return
  const name = nameInUrl()
  if (!name || me.rooms.some((room) => room.name === name)) showPlace()
  // Rooms may have been added since.
  enter()
})

enter()
