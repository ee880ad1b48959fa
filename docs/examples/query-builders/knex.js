import createKnex from 'knex'

const knex = createKnex({ client: 'pg', connection: process.env.DATABASE_URL })

/** @param {string} title */
export async function addTodo(title) {
  // #region transaction
  await knex.transaction(async (trx) => {
    const [todo] = await trx('todos').insert({ title }).returning('*')
    const publish = `select pylon_sse.publish(?, event => 'todo.created', topic => 'todos')`
    await trx.raw(publish, [JSON.stringify(todo)])
  })
  // #endregion
}

export const close = () => knex.destroy()
