import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { pgTable, serial, text } from 'drizzle-orm/pg-core'
import pg from 'pg'

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL })
const db = drizzle(pool)
const todos = pgTable('todos', { id: serial().primaryKey(), title: text().notNull() })

/** @param {string} title */
export async function addTodo(title) {
  // #region transaction
  await db.transaction(async (tx) => {
    const [todo] = await tx.insert(todos).values({ title }).returning()
    await tx.execute(sql`select pylon_sse.publish(${JSON.stringify(todo)}, event => 'todo.created', topic => 'todos')`)
  })
  // #endregion
}

export const close = () => pool.end()
