// The live page of a hub at work, for its pictures.

import { once } from 'node:events'
import http from 'node:http'
import Fastify from 'fastify'
import pylonSse from 'pylon-sse'
import sseDashboard from 'pylon-sse/dashboard'

const CLIENTS = 24
const ROOMS = ['orders', 'orders.42', 'prices.*', 'chat.general', 'chat.support', 'jobs.7']
const pictures = [
  { name: 'dashboard-light', colorScheme: 'light', viewport: { width: 1100, height: 900 } },
  { name: 'dashboard-dark', colorScheme: 'dark', viewport: { width: 1100, height: 900 } },
  { name: 'dashboard-phone', colorScheme: 'dark', viewport: { width: 390, height: 800 }, deviceScaleFactor: 2 }
]

/** Starts the hub. @returns its pictures, what opens the page that is to be taken, and what ends it all */
export async function dashboardScene() {
  const app = Fastify()
  await app.register(pylonSse, { authorizeTopics: () => true, maxClientsPerIp: false, queueDepth: 1000 })
  await app.register(sseDashboard, { unprotected: true, interval: 250, pauseTime: 60_000 })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })

  const streams = []
  for (let i = 0; i < CLIENTS; i++) streams.push(await listen(url, i))
  for (const i of [3, 11]) streams[i].destroy()
  for (const client of [...app.sse.clients].slice(0, 2)) client.close()
  const slow = [...app.sse.clients][5].id
  await app.inject({ method: 'POST', url: `/sse-dashboard/clients/${slow}/pause` })
  let n = 0
  const saying = setInterval(() => {
    const topic = ROOMS[n++ % ROOMS.length]
    app.sse.broadcast({ n }, Math.random() < 0.4 || topic.includes('*') ? {} : { topic })
  }, 8)

  return {
    pictures,
    async open(context) {
      const page = await context.newPage()
      await page.goto(`${url}/sse-dashboard`)
      await page.waitForSelector('#state.live')
      await page.waitForTimeout(9_000)
      return page
    },
    async close() {
      clearInterval(saying)
      for (const stream of streams) stream.destroy()
      await app.close()
    }
  }
}

/** A client that reads, as a browser does. */
async function listen(url, i) {
  const topics = [ROOMS[i % ROOMS.length], ROOMS[(i * i) % ROOMS.length]]
  const request = http.get(`${url}/events?topic=${topics.join('&topic=')}`, { localAddress: `127.0.0.${2 + (i % 9)}` })
  request.on('error', () => {})
  const [response] = await once(request, 'response')
  response.on('error', () => {}).resume()
  return request
}
