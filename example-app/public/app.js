import { Lobby } from './lobby.js'
import { notify, notifyOf } from './notice.js'
import { showPeople } from './people.js'
import { request } from './request.js'
import { Room } from './room.js'

const find = (id) => document.getElementById(id)

/** The visitor's name, and the rooms there are for them; undefined until they are logged in. */
let me
/** The room that is shown. Its name is in the URL, so that it can be bookmarked and sent to others. */
let room

const lobby = new Lobby({
  list: find('rooms'),
  template: find('room-card'),
  form: find('new-room'),
  onCreate: (created) => {
    me.rooms.push(created)
    location.hash = created.name
  },
  onRefused: enter
})

/** Asks the server who this is: that may have changed in another tab, or with a restart of the server. */
async function enter() {
  try {
    me = await request('GET', '/api/me')
    showPlace()
  } catch (error) {
    if (error.status === 401) return showLogin()
    // A room has a stream that tries again.
    if (room) return
    notifyOf(error)
    setTimeout(enter, 1000 + Math.random() * 2000)
  }
}

function showPlace() {
  find('my-name').textContent = me.name
  const name = location.hash.slice(1)
  const found = roomOf(name)
  if (found) return showRoom(found)
  if (name) {
    notify(`There is no room “${name}”, or it is not for you`, 'error')
    history.replaceState(null, '', location.pathname)
  }
  showLobby()
}

function roomOf(name) {
  return me.rooms.find((one) => one.name === name)
}

function showLogin() {
  if (me) notify('You are logged out')
  me = undefined
  leaveRoom()
  show('login', 'Task board')
  find('login-name').focus()
}

function showLobby() {
  leaveRoom()
  lobby.show(me.rooms)
  show('lobby', 'Rooms')
}

function showRoom({ name, members }) {
  if (room?.name === name) return
  leaveRoom()
  show('room', name)
  find('room-members').textContent = members ? `Only for ${members.join(', ')}` : 'For everyone'
  const board = find('board').content.firstElementChild.cloneNode(true)
  find('board-place').replaceChildren(board)
  showPeople(find('people'), [])
  room = new Room(name, {
    board,
    card: find('card'),
    onState: showState,
    onPeople: (names) => showPeople(find('people'), names, me.name),
    onRefused: enter
  })
}

function leaveRoom() {
  room?.close()
  room = undefined
}

/** Shows what belongs to a view, and hides the rest. */
function show(view, heading) {
  for (const element of document.querySelectorAll('[data-views]')) {
    element.hidden = !element.dataset.views.split(' ').includes(view)
  }
  if (find('heading').textContent === heading) return
  find('heading').textContent = heading
  document.title = view === 'login' ? heading : `${heading} · Task board`
  // Whoever cannot see that another view has come hears its name.
  find('heading').focus()
}

function showState(state) {
  find('connection').dataset.state = state
  find('connection').textContent = { connecting: 'Connecting', live: 'Live', reconnecting: 'Reconnecting' }[state]
}

find('login').onsubmit = async (event) => {
  event.preventDefault()
  try {
    await request('POST', '/api/login', { body: { name: find('login-name').value.trim() } })
    await enter()
  } catch (error) {
    notifyOf(error)
  }
}

find('logout').onclick = async () => {
  try {
    await request('POST', '/api/logout')
    showLogin()
  } catch (error) {
    notifyOf(error)
  }
}

find('new').onsubmit = async (event) => {
  event.preventDefault()
  const input = find('new-title')
  const title = input.value.trim()
  if (!title) return
  // At once, so that the next one can be typed meanwhile.
  input.value = ''
  if (!(await room.add(title))) input.value ||= title
}

addEventListener('hashchange', () => {
  if (!me) return
  const name = location.hash.slice(1)
  if (!name || roomOf(name)) showPlace()
  // Rooms may have been added since.
  enter()
})

// A connection that outlives a change of networks is dead more often than not, and says so only minutes later.
addEventListener('offline', () => room?.stream.openLater())
addEventListener('online', () => room?.stream.open())

// A page that the browser keeps for the back button should not hold a connection meanwhile.
addEventListener('pagehide', () => room?.stream.close())
addEventListener('pageshow', (event) => event.persisted && room?.stream.open())

enter()
