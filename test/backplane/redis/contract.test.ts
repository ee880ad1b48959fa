import t from 'tap'
import { backplaneContract } from '../../../lib/backplane/contract/contract.js'
import { redisStreams } from '../../../lib/backplane/redis/redis-streams.js'
import { foreignFields } from '../../kit/foreign-entries.js'
import { startRedis } from '../../kit/redis-server.js'

t.test('redisStreams passes the contract suite', async (t) => {
  const server = await startRedis(t)
  if (server === undefined) return
  let key = 'log-0'
  let logs = 0
  const cases = backplaneContract({
    async begin() {
      key = `log-${++logs}`
    },
    connect: () => redisStreams({ url: server.url, key }),
    interrupt: () => server.kill9(),
    resume: () => server.start(),
    keep: () => server.keep(),
    restore: () => server.restore(),
    async intrude() {
      for (const fields of foreignFields()) await server.admin.xadd(key, '*', ...fields)
    },
    async replace() {
      await server.admin.del(key)
    }
  })
  for (const { name, run } of cases) await t.test(name, run)
})
