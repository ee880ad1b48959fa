import { Kysely, PostgresDialect, sql } from 'kysely'
import pg from 'pg'

/** @type {Kysely<any>} in TypeScript the interface of your tables */
const db = new Kysely({
  dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: process.env.DATABASE_URL }) })
})

/** @param {string} title */
export async function addTodo(title) {
  // #region transaction
  await db.transaction().execute(async (trx) => {
    const todo = await trx.insertInto('todos').values({ title }).returningAll().executeTakeFirstOrThrow()
    const data = JSON.stringify(todo)
    await sql`select pylon_sse.publish(${data}, event => 'todo.created', topic => 'todos')`.execute(trx)
  })
  // #endregion
}

export const close = () => db.destroy()
