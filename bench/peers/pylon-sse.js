// This plugin.

import pylonSse from 'pylon-sse'

/** This plugin with its defaults, history included, but without keepalives: the other peers send none. */
export async function setup(app, { topics = 0, history, compress = false }) {
  await app.register(pylonSse, {
    keepAliveInterval: 0,
    compress,
    ...(typeof history === 'number' && { history: { events: history, bytes: 2 ** 30 } }),
    ...(topics > 0 && { authorizeTopics: (_request, asked) => asked })
  })
  const { sse } = app
  return {
    publish(data, _n, topic) {
      if (topic === undefined) sse.broadcast(data)
      else sse.broadcast(data, { topic })
    },
    get count() {
      return sse.clientCount
    }
  }
}
