import { connect } from 'pylon-sse/client'
import { createRoot } from 'react-dom/client'
import useSWR from 'swr'
import useSWRSubscription from 'swr/subscription'

const fetcher = async (url) => (await fetch(url)).json()

// #region todos
function Todos() {
  const { data: todos = [], mutate } = useSWR('/todos', fetcher)
  const { data: state = 'connecting' } = useSWRSubscription('/events', (url, { next }) => {
    const live = connect(url, { load: () => mutate() })
    live.subscribe(({ event, data }) => {
      if (event !== 'todo.created') return
      mutate((all = []) => [...all.filter(({ id }) => id !== data.id), data], { revalidate: false })
    })
    live.onStatus((status) => next(null, status.state))
    return () => live.close()
  })
  return (
    <>
      <p>{state}</p>
      <ul>
        {todos.map(({ id, title }) => (
          <li key={id}>{title}</li>
        ))}
      </ul>
    </>
  )
}
// #endregion

createRoot(document.getElementById('root')).render(<Todos />)
