import postgres from 'postgres'

const db = postgres(process.env.DATABASE_URL ?? '')

/** @param {string} title */
export async function addTodo(title) {
  // #region transaction
  await db.begin(async (sql) => {
    const [todo] = await sql`insert into todos (title) values (${title}) returning *`
    const data = JSON.stringify(todo)
    await sql`select pylon_sse.publish(${data}, event => 'todo.created', topic => 'todos')`
  })
  // #endregion
}

export const close = () => db.end()
