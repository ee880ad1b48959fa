import { connect } from 'pylon-sse/client'
// The declaration alone: a page does not load the server's part.
import type {} from './events.js'

const live = connect('/events')
live.on('todo.created', ({ id, title }) => console.log(id.toFixed(), title.trim()))
// @ts-expect-error there is no such event
live.on('todo.craeted', () => {})
live.subscribe((event) => {
  if (event.event === 'todo.created') console.log(event.data.title)
  else console.log(event.data.reason) // 'resync': events have been missed
})
