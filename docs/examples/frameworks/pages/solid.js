import { connect } from 'pylon-sse/client'
import { createRoot, createSignal, onCleanup, onMount } from 'solid-js'
import { insert } from 'solid-js/web'

// #region todos
/** For a component: `onMount` is not called on the server. */
function createTodos() {
  const [todos, setTodos] = createSignal([])
  const [state, setState] = createSignal('connecting')
  onMount(() => {
    const live = connect('/events', {
      load: async ({ signal }) => setTodos(await (await fetch('/todos', { signal })).json())
    })
    live.on('todo.created', (todo) => setTodos((all) => [...all.filter(({ id }) => id !== todo.id), todo]))
    live.onStatus((status) => setState(status.state))
    onCleanup(() => live.close())
  })
  return { todos, state }
}
// #endregion

// In place of JSX, which would have to be compiled.
createRoot(() => {
  const { todos, state } = createTodos()
  const element = (name, textContent) => Object.assign(document.createElement(name), { textContent })
  const items = () => todos().map(({ title }) => element('li', title))
  insert(document.getElementById('root'), () => [element('p', state()), ...items()])
})
