import t from 'tap'
import { type BackplaneHarness, backplaneContract } from '../../../lib/backplane/contract/contract.js'
import { jetStream } from '../../../lib/backplane/nats/jetstream.js'
import { foreignMessages, statusHeaders } from '../../kit/foreign-entries.js'
import { startNats } from '../../kit/nats-server.js'

t.test('the backplane over JetStream passes the contract suite', async (t) => {
  const server = await startNats(t)
  if (server === undefined) return
  let number = 0
  const harness: BackplaneHarness = {
    begin: async () => {
      number++
    },
    connect: () => jetStream({ servers: server.servers, stream: `S${number}`, subject: `s${number}` }),
    interrupt: () => server.kill9(),
    resume: () => server.start(),
    keep: () => server.keep(),
    restore: () => server.restore(),
    intrude: async () => {
      const { connection } = await server.admin()
      for (const bytes of foreignMessages()) connection.publish(`s${number}`, bytes)
      connection.publish(`s${number}`, '', { headers: statusHeaders() })
      await connection.flush()
    },
    replace: async () => {
      const { manager } = await server.admin()
      await manager.streams.delete(`S${number}`)
    }
  }
  for (const { name, run } of backplaneContract(harness)) {
    await t.test(name, async (t) => {
      await t.resolves(run())
    })
  }
})
