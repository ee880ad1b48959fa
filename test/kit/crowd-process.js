// JavaScript, because a process of its own would take seconds to learn TypeScript.
import net from 'node:net'

// So many at a time that no queue of the kernel overflows.
const BATCH = 100

// Not once: nothing else keeps a process alive whose clients are all stuck.
process.on('message', async ({ target, options: { readers, stuck } }) => {
  for (let i = 0; i < stuck; i++) await open({ ...target, localAddress: '127.0.0.2' }, (socket) => socket.pause())
  const farewells = []
  while (farewells.length < readers) {
    const batch = Array.from({ length: Math.min(BATCH, readers - farewells.length) }, () => open(target))
    for (const { farewell } of await Promise.all(batch)) farewells.push(farewell)
  }
  process.send('gathered')
  process.send(await Promise.all(farewells))
})

/** Resolves when the head and the first block have come; `farewell` resolves when the stream is over. */
function open(place, onOpen = () => {}) {
  return new Promise((resolve) => {
    const socket = net.connect(place.socketPath === undefined ? place : { path: place.socketPath })
    socket.setEncoding('latin1')
    socket.write('GET /events HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n')
    let text = ''
    const farewell = new Promise((part) => {
      socket.on('error', () => {})
      socket.on('close', () => part(farewellOf(text)))
    })
    socket.on('data', (more) => {
      const isOpen = text.includes(': connected')
      text += more
      if (!isOpen && text.includes(': connected')) {
        onOpen(socket)
        resolve({ farewell })
      }
      // The server may leave the connection open for another request.
      if (text.endsWith('\r\n0\r\n\r\n')) socket.destroy()
    })
  })
}

function farewellOf(text) {
  const chunks = text.slice(text.indexOf('\r\n\r\n') + 4)
  let body = ''
  let at = 0
  let size
  do {
    const start = chunks.indexOf('\r\n', at) + 2
    size = Number.parseInt(chunks.slice(at, start), 16)
    body += chunks.slice(start, start + size)
    at = start + size + 2
  } while (size > 0)
  const valuesOf = (field) => [...body.matchAll(new RegExp(`^${field}: (.*)$`, 'gm'))].map(([, value]) => value)
  return {
    lastData: valuesOf('data').at(-1),
    retries: valuesOf('retry').map(Number),
    ended: size === 0 && at === chunks.length
  }
}
