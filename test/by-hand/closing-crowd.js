// Opens streams, each from one of many addresses, and says how it is with them. Started by closing.ts.
import http2 from 'node:http2'
import net from 'node:net'
import os from 'node:os'

/** So many at a time that no queue of the kernel overflows. */
const BATCH = 100
/** As many as one address may have, and one connection of HTTP/2. */
const STREAMS_PER_ADDRESS = 64

const [port, transport, first, count, reads, encoding] = process.argv.slice(2)
// Clients have machines of their own.
os.setPriority(19)
let ended = 0
let cut = 0
let session

const open = { http: openHttp1, h2c: openHttp2 }[transport]
for (let opened = 0; opened < Number(count); opened += BATCH) {
  const batch = Array.from({ length: Math.min(BATCH, Number(count) - opened) }, (_, i) =>
    open(Number(first) + opened + i)
  )
  await Promise.all(batch)
}
process.send('open')
// Nothing else keeps a process alive whose clients read nothing.
process.on('message', () => process.send({ ended, cut }, () => process.exit()))

function addressOf(i) {
  const n = Math.floor(i / STREAMS_PER_ADDRESS)
  return `127.0.${1 + Math.floor(n / 250)}.${1 + (n % 250)}`
}

/** Resolves when its first bytes have come. */
function openHttp1(i) {
  return new Promise((resolve) => {
    const socket = net.connect({ port: Number(port), host: '127.0.0.1', localAddress: addressOf(i) })
    const headers = `host: x\r\naccept: text/event-stream\r\naccept-encoding: ${encoding}`
    socket.write(`GET /events HTTP/1.1\r\n${headers}\r\n\r\n`)
    let last = ''
    socket.on('error', () => {})
    socket.on('close', () => {
      if (last.endsWith('\r\n0\r\n\r\n')) ended++
      else cut++
    })
    socket.on('data', (bytes) => {
      last = (last + bytes.subarray(-7).toString('latin1')).slice(-7)
      // As a client does that needs the connection no more.
      if (last.endsWith('\r\n0\r\n\r\n')) socket.destroy()
      if (reads === 'nothing') socket.pause()
      resolve()
    })
  })
}

function openHttp2(i) {
  return new Promise((resolve) => {
    if (session === undefined || i % STREAMS_PER_ADDRESS === 0) {
      const localAddress = addressOf(i)
      session = http2.connect('http://127.0.0.1', {
        createConnection: () => net.connect({ port: Number(port), host: '127.0.0.1', localAddress })
      })
      session.on('error', () => {})
    }
    const stream = session.request({ ':path': '/events', accept: 'text/event-stream', 'accept-encoding': encoding })
    stream.on('error', () => {})
    stream.on('close', () => {
      if (stream.rstCode === 0) ended++
      else cut++
    })
    stream.on('response', resolve)
    if (reads === 'nothing') stream.pause()
    else stream.resume()
  })
}
