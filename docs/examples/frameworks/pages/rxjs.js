import { connect } from 'pylon-sse/client'
import { filter, map, Observable, scan, share, startWith } from 'rxjs'

// #region todos
/** The events of a stream, which is open while somebody subscribes. The state comes first, as an event of its own. */
const events = new Observable((subscriber) => {
  const live = connect('/events', {
    async load({ signal }) {
      subscriber.next({ event: 'todos', data: await (await fetch('/todos', { signal })).json() })
    }
  })
  live.subscribe((event) => subscriber.next(event))
  live.onStatus((status) => {
    if (status.state !== 'closed') subscriber.next({ event: 'status', data: status })
    else if (status.error) subscriber.error(status.error)
    else subscriber.complete()
  })
  return () => live.close()
}).pipe(share()) // one connection for all subscribers

const todos = events.pipe(
  filter(({ event }) => event === 'todos' || event === 'todo.created'),
  scan((all, { event, data }) => (event === 'todos' ? data : [...all.filter(({ id }) => id !== data.id), data]), []),
  startWith([])
)
const state = events.pipe(
  filter(({ event }) => event === 'status'),
  map(({ data }) => data.state)
)
// #endregion

const element = (name, textContent) => Object.assign(document.createElement(name), { textContent })
const [text, list] = [element('p', 'connecting'), element('ul', '')]
document.getElementById('root').append(text, list)
todos.subscribe((all) => list.replaceChildren(...all.map(({ title }) => element('li', title))))
state.subscribe((now) => {
  text.textContent = now
})
