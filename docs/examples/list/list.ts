import { connect } from 'pylon-sse/client'

type Todo = { id: number; title: string }
type Change = { kind: string; row_id: number; data: Todo }
export const todos = new Map<number, Todo>()

// #region follow
export function follow(site: string, signal?: AbortSignal) {
  async function load() {
    const rows: Todo[] = await (await fetch(`${site}/lists/a/todos`, { signal })).json()
    todos.clear()
    for (const row of rows) todos.set(row.id, row)
  }
  const live = connect<{ change: Change }>(`${site}/events`, { topics: ['todos.a'], load, signal })
  live.on('change', ({ kind, row_id, data }) => {
    if (kind === 'delete') todos.delete(row_id)
    else if (kind !== 'resync') todos.set(row_id, data)
    else {
      live.close()
      follow(site, signal)
    }
  })
}
// #endregion
