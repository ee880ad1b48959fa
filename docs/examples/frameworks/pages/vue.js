import { connect } from 'pylon-sse/client'
import { createApp, h, onMounted, onUnmounted, ref } from 'vue'

// #region todos
/** A composable. It connects in the browser alone: `onMounted` is not called on the server. */
function useTodos() {
  const todos = ref([])
  const state = ref('connecting')
  let live
  onMounted(() => {
    live = connect('/events', {
      async load({ signal }) {
        todos.value = await (await fetch('/todos', { signal })).json()
      }
    })
    live.on('todo.created', (todo) => {
      todos.value = [...todos.value.filter(({ id }) => id !== todo.id), todo]
    })
    live.onStatus((status) => {
      state.value = status.state
    })
  })
  onUnmounted(() => live?.close())
  return { todos, state }
}
// #endregion

createApp({
  setup() {
    // biome-ignore lint/correctness/useHookAtTopLevel: a composable of Vue, no hook of React
    const { todos, state } = useTodos()
    const item = ({ id, title }) => h('li', { key: id }, title)
    return () => [h('p', state.value), h('ul', todos.value.map(item))]
  }
}).mount('#root')
