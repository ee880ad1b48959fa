/**
 * Takes the pictures of the live page that the docs show, with Chromium (CHROMIUM_PATH, or the one in PATH). It takes what has been
 * built: `npm run build` comes first.
 *
 *   npm run docs:pictures
 */
import { once } from 'node:events'
import http from 'node:http'
import { fileURLToPath } from 'node:url'
import Fastify from 'fastify'
import { chromium } from 'playwright-core'
import pylonSse from 'pylon-sse'
import sseDashboard from 'pylon-sse/dashboard'

const FOLDER = new URL('../docs/pictures/', import.meta.url)
const CLIENTS = 24
const ROOMS = ['orders', 'orders.42', 'prices.*', 'chat.general', 'chat.support', 'jobs.7']
const PICTURES = [
  { name: 'dashboard-light', colorScheme: 'light', viewport: { width: 1100, height: 900 } },
  { name: 'dashboard-dark', colorScheme: 'dark', viewport: { width: 1100, height: 900 } },
  { name: 'dashboard-phone', colorScheme: 'dark', viewport: { width: 390, height: 800 }, deviceScaleFactor: 2 }
]

const app = Fastify()
await app.register(pylonSse, { authorizeTopics: () => true, maxClientsPerIp: false, queueDepth: 1000 })
await app.register(sseDashboard, { unprotected: true, interval: 250, pauseTime: 60_000 })
const url = await app.listen({ host: '127.0.0.1', port: 0 })

const streams = []
for (let i = 0; i < CLIENTS; i++) streams.push(await open(i))
for (const i of [3, 11]) streams[i].destroy()
for (const client of [...app.sse.clients].slice(0, 2)) client.close()
const slow = [...app.sse.clients][5].id
await app.inject({ method: 'POST', url: `/sse-dashboard/clients/${slow}/pause` })
let n = 0
const saying = setInterval(() => {
  const topic = ROOMS[n++ % ROOMS.length]
  app.sse.broadcast({ n }, Math.random() < 0.4 || topic.includes('*') ? {} : { topic })
}, 8)

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM_PATH ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu']
})
try {
  for (const { name, ...options } of PICTURES) {
    const page = await browser.newPage(options)
    await page.goto(`${url}/sse-dashboard`)
    await page.waitForSelector('#state.live')
    await page.waitForTimeout(9_000)
    await page.screenshot({ path: fileURLToPath(new URL(`${name}.png`, FOLDER)) })
    await page.close()
  }
} finally {
  clearInterval(saying)
  await browser.close()
  for (const stream of streams) stream.destroy()
  await app.close()
}

/** A client that reads, as a browser does. */
async function open(i) {
  const topics = [ROOMS[i % ROOMS.length], ROOMS[(i * i) % ROOMS.length]]
  const request = http.get(`${url}/events?topic=${topics.join('&topic=')}`, { localAddress: `127.0.0.${2 + (i % 9)}` })
  request.on('error', () => {})
  const [response] = await once(request, 'response')
  response.on('error', () => {}).resume()
  return request
}
