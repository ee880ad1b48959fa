import { useSse, useSseEvent } from 'pylon-sse/react'
import { StrictMode, useState } from 'react'
import { createRoot } from 'react-dom/client'

// #region todos
function Todos() {
  const [todos, setTodos] = useState([])
  const live = useSse('/events', {
    load: async ({ signal }) => setTodos(await (await fetch('/todos', { signal })).json())
  })
  useSseEvent('todo.created', (todo) => setTodos((all) => [...all.filter(({ id }) => id !== todo.id), todo]), live)
  return (
    <>
      <p id="state">{live.status.state}</p>
      <ul>
        {todos.map(({ id, title }) => (
          <li key={id}>{title}</li>
        ))}
      </ul>
    </>
  )
}
// #endregion

createRoot(document.getElementById('root')).render(
  <StrictMode>
    <Todos />
  </StrictMode>
)
