// A process of an app that is to be killed in the middle of a run.
import { setTimeout as sleep } from 'node:timers/promises'
import fastify from 'fastify'
import pylonSse from 'pylon-sse'
import { engineBackplane } from './engine-backplane.js'

const [engine, options] = process.argv.slice(2)
const app = fastify()
await app.register(pylonSse, { backplane: await engineBackplane(engine, options), runs: { silence: 900 } })
await app.ready()

let given = 0
app.sse.run(
  async function* () {
    for (;;) {
      yield ++given
      await sleep(5)
    }
  },
  { topic: 'endless' }
)
process.send('running')
