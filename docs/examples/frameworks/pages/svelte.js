import { connect } from 'pylon-sse/client'
import { readable } from 'svelte/store'

// #region todos
/** A store: `$todos` in components. It is connected while somebody subscribes. */
const todos = readable({ state: 'connecting', list: [] }, (_set, update) => {
  const live = connect('/events', {
    async load({ signal }) {
      const list = await (await fetch('/todos', { signal })).json()
      update((value) => ({ ...value, list }))
    }
  })
  live.on('todo.created', (todo) =>
    update((value) => ({ ...value, list: [...value.list.filter(({ id }) => id !== todo.id), todo] }))
  )
  live.onStatus(({ state }) => update((value) => ({ ...value, state })))
  return () => live.close()
})
// #endregion

// In place of a component, which would have to be compiled.
todos.subscribe(({ state, list }) => {
  const items = list.map(({ title }) => Object.assign(document.createElement('li'), { textContent: title }))
  const text = Object.assign(document.createElement('p'), { textContent: state })
  document.getElementById('root').replaceChildren(text, ...items)
})
