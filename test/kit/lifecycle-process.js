// JavaScript and the built package, because a process of its own would take seconds to learn TypeScript.
import net from 'node:net'
import fastify from 'fastify'
import pylonSse from 'pylon-sse'

// Lives that an app may have. None ends its process: that is for the process to do when nothing is left to happen.
const lives = {
  async 'is ready and never listens'() {
    const app = fastify()
    await app.register(pylonSse)
    await app.ready()
    app.sse.broadcast('event')
  },
  async 'has had clients and closes'(bytesThatBlock) {
    const app = fastify()
    await app.register(pylonSse, { maxEventBytes: 2 * bytesThatBlock })
    await app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = app.server.address()
    const stuck = await open(port)
    stuck.pause()
    for (const client of app.sse.clients) client.send('x'.repeat(bytesThatBlock))
    const [reader, leaver] = [await open(port), await open(port)]
    app.sse.broadcast('event')
    await until(reader, 'event')
    leaver.destroy()
    await app.close()
    reader.destroy()
    stuck.destroy()
  }
}

async function open(port) {
  const socket = net.connect(port, '127.0.0.1')
  socket.on('error', () => {})
  socket.write('GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n')
  await until(socket, 'connected')
  return socket
}

function until(socket, text) {
  return new Promise((resolve) => {
    socket.on('data', (data) => String(data).includes(text) && resolve())
  })
}

const [life, bytesThatBlock] = process.argv.slice(2)
await lives[life](Number(bytesThatBlock))
console.log('lived')
