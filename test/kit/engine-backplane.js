// Backplanes by the name of their engine, for processes that tests start. JavaScript and the built package, because a
// process of its own would take seconds to learn TypeScript.

const ENGINES = {
  async redis(options) {
    const { redisStreams } = await import('pylon-sse/redis-streams')
    return redisStreams(options)
  },
  async nats(options) {
    const { jetStream } = await import('pylon-sse/jetstream')
    return jetStream(options)
  }
}

/** @param {string} options the options of the backplane, as JSON */
export function engineBackplane(engine, options) {
  return ENGINES[engine](JSON.parse(options))
}
