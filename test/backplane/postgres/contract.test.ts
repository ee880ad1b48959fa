import t from 'tap'
import { backplaneContract } from '../../../lib/backplane/contract/contract.js'
import { nextLog, type PostgresLogControls } from '../../kit/postgres-engine.js'

t.test('postgres passes the contract suite', async (t) => {
  let log: PostgresLogControls | undefined = await nextLog()
  if (log === undefined) return
  const { server } = log
  const cases = backplaneContract({
    async begin() {
      log = await nextLog()
    },
    connect: () => log!.backplane(),
    interrupt: () => server.kill9(),
    resume: () => server.start(),
    keep: () => log!.keep(),
    restore: () => log!.restore(),
    replace: () => log!.drop(),
    async intrude() {
      for (const labels of ['', '[]', '{"v":2}', '{"kind":"what"}', 'null', '{"topic":7}'])
        await server.admin.query(`select ${log!.schema}.put($1, $2)`, [labels, 'data: 1\n\n'])
    }
  })
  for (const { name, run } of cases) await t.test(name, run)
})
