// The connection of one benchmark client, cheap enough for thousands in one process.

import net from 'node:net'
import { now } from '../machine/clock.js'

const CR = 13
const LF = 10
const END_OF_HEAD = '\r\n\r\n'
/** Clients per address: fewer than this plugin admits by default. */
const PER_ADDRESS = 48

/** All connections read into one buffer, one after the other, so that reading makes no garbage. */
const shared = Buffer.allocUnsafeSlow(256 * 1024)

/** The `n`th of many loopback addresses. */
export function address(n, network) {
  const host = Math.floor(n / PER_ADDRESS)
  return `127.${network}.${Math.floor(host / 250)}.${2 + (host % 250)}`
}

/**
 * The connection of one client, on a raw socket. It decodes chunked coding as it reads, and counts the bytes of the stream
 * without it: those are the same for every client, where the boundaries of chunks are not. Decoding costs per chunk, not
 * per byte.
 */
export class Connection {
  /** Bytes of the stream, without head and chunked coding. */
  bytes = 0
  closed = false
  #head = ''
  #chunked = false
  /** Bytes left in the current chunk. */
  #left = 0
  /** The chunk's length, as far as it has been read. */
  #size = 0
  #tally
  #events
  #opened
  #socket

  /**
   * @param {{ port: number, localAddress: string, request: string, reads?: boolean }} target
   * @param {object} tally the counters that all connections of this process share
   * @param {{ push(bytes: Buffer, from: number, to: number): void } | undefined} events the parser of the stream
   * @param {(error?: Error) => void} opened called once, when the head has arrived or cannot arrive any more
   */
  constructor({ port, localAddress, request, reads = true }, tally, events, opened) {
    this.#tally = tally
    this.#events = events
    this.#opened = opened
    const onread = { buffer: shared, callback: (length) => this.#read(length) }
    const socket = net.connect({ host: '127.0.0.1', port, localAddress, noDelay: true, ...(reads && { onread }) })
    // A socket starts reading when it connects, so it is paused before.
    if (!reads) socket.pause()
    socket.once('connect', () => {
      socket.write(request)
      if (!reads) this.#open()
    })
    socket.on('error', (err) => this.#open(err))
    socket.once('close', () => {
      if (!this.closed) tally.lost++
      this.closed = true
      this.#open(new Error('closed'))
    })
    this.#socket = socket
  }

  get events() {
    return this.#events
  }

  destroy() {
    this.closed = true
    this.#socket.destroy()
  }

  #open(error) {
    const opened = this.#opened
    this.#opened = undefined
    opened?.(error)
  }

  #read(length) {
    this.#tally.reads++
    this.#tally.lastRead = now()
    let at = 0
    if (this.#head !== undefined) {
      this.#head += shared.latin1Slice(0, length)
      const end = this.#head.indexOf(END_OF_HEAD)
      if (end === -1) return true
      at = length - (this.#head.length - end - END_OF_HEAD.length)
      this.#chunked = /\r\ntransfer-encoding: *chunked/i.test(this.#head.slice(0, end))
      const refused = this.#head.startsWith('HTTP/1.1 200') ? undefined : new Error(this.#head.slice(0, 200))
      this.#head = undefined
      this.#open(refused)
    }
    if (this.#chunked) this.#readChunks(at, length)
    else this.#take(at, length)
    return true
  }

  #readChunks(from, to) {
    let at = from
    while (at < to) {
      if (this.#left > 0) {
        const end = Math.min(to, at + this.#left)
        this.#left -= end - at
        this.#take(at, end)
        at = end
        continue
      }
      const byte = shared[at++]
      if (byte === LF) {
        // LF ends a chunk's length. The LF after a chunk's data comes here as well, with the length 0.
        this.#left = this.#size
        this.#size = 0
      } else if (byte !== CR) {
        // A hexadecimal digit, in either case.
        this.#size = this.#size * 16 + (byte <= 57 ? byte - 48 : (byte | 32) - 87)
      }
    }
  }

  #take(from, to) {
    this.bytes += to - from
    this.#tally.bytes += to - from
    this.#events?.push(shared, from, to)
  }
}
