// A peer that compresses for each client.

import { constants, createGzip } from 'node:zlib'

/** A peer that compresses as middleware does: one compressor per client, flushed after each event. */
export async function setup(app) {
  const clients = new Set()

  app.get('/events', (_request, reply) => {
    reply.hijack()
    const res = reply.raw
    res.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-cache',
      'content-encoding': 'gzip'
    })
    res.flushHeaders()
    const gzip = createGzip({ flush: constants.Z_SYNC_FLUSH })
    gzip.pipe(res)
    clients.add(gzip)
    res.once('close', () => {
      clients.delete(gzip)
      gzip.destroy()
    })
  })

  return {
    publish(data, n) {
      const frame = `id: ${n}\ndata: ${JSON.stringify(data)}\n\n`
      for (const gzip of clients) gzip.write(frame)
    },
    get count() {
      return clients.size
    }
  }
}
