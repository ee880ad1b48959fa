import { readFile } from 'node:fs/promises'
import Fastify from 'fastify'
import pylonSse from 'pylon-sse'

const app = Fastify()

// #region prices
const prices = new Map(['ACME', 'INIT', 'HOOLI'].map((symbol) => [symbol, 100]))

await app.register(pylonSse, {
  // A client that falls behind needs only the newest prices: `resync` tells the page to fetch them.
  queueDepth: 100,
  authorizeTopics: () => ['price.*'], // for everybody
  onConnect(client) {
    for (const [symbol, price] of prices) {
      if (client.topics.includes(`price.${symbol}`)) client.send({ symbol, price }, { event: 'price' })
    }
  }
})

app.get('/prices', async () => [...prices].map(([symbol, price]) => ({ symbol, price })))

setInterval(() => {
  for (const [symbol, price] of prices) {
    const next = Math.max(1, Number((price + Math.random() - 0.5).toFixed(2)))
    if (next === price) continue
    prices.set(symbol, next)
    app.sse.broadcast({ symbol, price: next }, { event: 'price', topic: `price.${symbol}` })
  }
}, 250).unref()
// #endregion

const page = await readFile(new URL('page.html', import.meta.url))
app.get('/', (_request, reply) => reply.type('text/html').send(page))

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())
console.log(await app.listen({ port: Number(process.env.PORT ?? 3000) }))
