import { QueryClient, QueryObserver } from '@tanstack/query-core'
import { connect } from 'pylon-sse/client'

const client = new QueryClient()

// #region todos
/** Has the stream keep what queries have fetched up to date. @returns what ends it */
function follow(live) {
  return live.subscribe(({ event, data }) => {
    if (event === 'todo.created') {
      client.setQueryData(['todos'], (all) => all && [...all.filter(({ id }) => id !== data.id), data])
    }
    if (event === 'resync') client.invalidateQueries() // events have been missed
  })
}

const live = connect('/events', {
  // Fetches what is on show, so that no event is missing between that and what follows.
  load: () => client.refetchQueries()
})
follow(live)
// #endregion

const queryFn = async ({ signal }) => (await fetch('/todos', { signal })).json()
// In place of a component, which would use `useQuery`.
const observer = new QueryObserver(client, { queryKey: ['todos'], queryFn, staleTime: Number.POSITIVE_INFINITY })
function show() {
  const { data = [] } = observer.getCurrentResult()
  const items = data.map(({ title }) => Object.assign(document.createElement('li'), { textContent: title }))
  const text = Object.assign(document.createElement('p'), { textContent: live.status.state })
  document.getElementById('root').replaceChildren(text, ...items)
}
observer.subscribe(show)
live.onStatus(show)
