// The process of an app that shares a backplane with others, which cluster.ts starts and calls.
import { setTimeout as sleep } from 'node:timers/promises'
import fastify from 'fastify'
import pylonSse from 'pylon-sse'
import { engineBackplane } from './engine-backplane.js'

/** Events after which it counts as being under load. */
const FLOW = 20

const [life, engine, options] = process.argv.slice(2)
const app = fastify()
await app.register(pylonSse, { backplane: await engineBackplane(engine, options), maxClientsPerIp: 10_000 })
await app.listen({ host: '127.0.0.1', port: 0 })

let isRunning = false
let published = 0
let working

/** As an app under load does until it is closed, and while it closes: it knows nothing of either. */
async function publish(pause) {
  isRunning = true
  const underWay = []
  for (let n = 1; isRunning; n++) {
    const event = app.sse.publish(`${life} ${n}`).then(
      () => {
        if (++published === FLOW) process.send({ flowing: FLOW })
      },
      ({ code }) => {
        if (code !== 'PYLON_SSE_ERR_CLOSED') throw new Error(`${life} ${n} was not published: ${code}`)
      }
    )
    underWay.push(event)
    await sleep(pause)
  }
  await Promise.all(underWay)
}

async function stop() {
  isRunning = false
  await working
}

const orders = {
  publish({ pause }) {
    working = publish(pause)
  },
  async stop() {
    await stop()
    process.send({ published })
  },
  async end() {
    await app.sse.publish('end')
  }
}

process.on('message', (order) => orders[order.do](order))
process.once('SIGTERM', async () => {
  await app.close()
  await stop()
  process.send({ published })
  // Nothing else may keep it alive.
  process.disconnect()
})
process.send({ port: app.server.address().port })
