// A parser of HTTP/1.1 responses, byte by byte, for tests that must see the framing.

import type { Head } from './event-reader.js'

/** A request that was sent, and where its answer goes. */
export interface AwaitedAnswer {
  method: string
  httpVersion: '1.0' | '1.1'
  receiveHead(head: Head): void
  receive(body: Buffer): void
  finish(): void
}

const HEADER = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/

export class FramingError extends Error {
  constructor(what: string, rest: Buffer) {
    super(`${what}: ${JSON.stringify(rest.toString('latin1', 0, 200))}`)
    this.name = 'FramingError'
  }
}

/**
 * The answers on one HTTP/1 connection, in the order of their requests. Stricter than any client need be: a byte that
 * does not belong where it stands throws, since it may be another response's.
 */
export class Http1Parser {
  readonly #awaited: AwaitedAnswer[] = []
  #rest: Buffer = Buffer.alloc(0)
  #left = 0
  #step: () => boolean = this.#readHead

  expect(answer: AwaitedAnswer): void {
    this.#awaited.push(answer)
  }

  push(bytes: Buffer): void {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
    while (this.#rest.length > 0 && this.#step());
  }

  /** The server has ended the connection: the proper end of a body that has no framing, and of no other. */
  finish(): void {
    if (this.#step === this.#readUntilFin) this.#finishAnswer()
  }

  get #answer(): AwaitedAnswer {
    const [answer] = this.#awaited
    if (!answer) throw new FramingError('bytes that answer no request', this.#rest)
    return answer
  }

  #finishAnswer(): boolean {
    this.#answer.finish()
    this.#awaited.shift()
    this.#step = this.#readHead
    return true
  }

  #readHead(): boolean {
    const { method, httpVersion } = this.#answer
    const start = this.#rest.toString('latin1', 0, 9)
    if (!'HTTP/1.1 '.startsWith(start)) throw new FramingError('no status line', this.#rest)
    const end = this.#rest.indexOf('\r\n\r\n')
    if (end === -1) return false
    const [statusLine = '', ...lines] = this.#rest.toString('latin1', 0, end).split('\r\n')
    const [, status] = /^HTTP\/1\.1 (\d{3}) [\t\x20-\x7e]*$/.exec(statusLine) ?? []
    if (!status) throw new FramingError('malformed status line', this.#rest)
    const rawHeaders = lines.map((line): [string, string] => {
      const [, name, value] = HEADER.exec(line) ?? []
      if (name === undefined || value === undefined) throw new FramingError('malformed header', Buffer.from(line))
      return [name, value]
    })
    const head = { status: Number(status), rawHeaders }
    // Node says 1.1 in its status line to a 1.0 client too; what it must not send to one is chunks.
    const framing = framingOf(head, method)
    if (framing === 'chunked' && httpVersion === '1.0') throw new FramingError('chunks to HTTP/1.0', this.#rest)
    this.#rest = this.#rest.subarray(end + 4)
    if (head.status < 200) return true
    this.#answer.receiveHead(head)
    if (framing === 0) return this.#finishAnswer()
    if (typeof framing === 'number') this.#left = framing
    this.#step =
      framing === 'chunked' ? this.#readSize : framing === 'until-fin' ? this.#readUntilFin : this.#readCounted
    return true
  }

  #readSize(): boolean {
    const end = this.#rest.indexOf('\r\n')
    const line = this.#rest.toString('latin1', 0, end === -1 ? 17 : end)
    const isSize = end === -1 ? /^[0-9a-f]*\r?$/i.test(line) : /^[0-9a-f]{1,8}$/i.test(line)
    if (!isSize || line.length > 16) throw new FramingError('malformed chunk size', this.#rest)
    if (end === -1) return false
    this.#left = Number.parseInt(line, 16)
    this.#rest = this.#rest.subarray(end + 2)
    this.#step = this.#left === 0 ? this.#readLastLine : this.#readChunk
    return true
  }

  #readChunk(): boolean {
    this.#readBody()
    if (this.#left === 0) this.#step = this.#readChunkEnd
    return true
  }

  #readChunkEnd(): boolean {
    if (!this.#skipLineBreak('a chunk longer than its size')) return false
    this.#step = this.#readSize
    return true
  }

  #readLastLine(): boolean {
    return this.#skipLineBreak('trailers, or bytes within the last chunk') && this.#finishAnswer()
  }

  #readCounted(): boolean {
    this.#readBody()
    return this.#left === 0 ? this.#finishAnswer() : true
  }

  #readUntilFin(): boolean {
    this.#left = this.#rest.length
    this.#readBody()
    return true
  }

  #readBody(): void {
    const body = this.#rest.subarray(0, this.#left)
    this.#rest = this.#rest.subarray(body.length)
    this.#left -= body.length
    this.#answer.receive(body)
  }

  #skipLineBreak(otherwise: string): boolean {
    if (!'\r\n'.startsWith(this.#rest.toString('latin1', 0, 2))) throw new FramingError(otherwise, this.#rest)
    if (this.#rest.length < 2) return false
    this.#rest = this.#rest.subarray(2)
    return true
  }
}

/** What delimits the body; a number is its length. Two framings at once are how responses get smuggled: refused. */
function framingOf({ status, rawHeaders }: Head, method: string): 'chunked' | 'until-fin' | number {
  const valuesOf = (wanted: string) =>
    rawHeaders.filter(([name]) => name.toLowerCase() === wanted).map(([, value]) => value)
  const encodings = valuesOf('transfer-encoding')
  const lengths = valuesOf('content-length')
  if (encodings.length + lengths.length > 1) {
    throw new FramingError('ambiguous framing', Buffer.from(JSON.stringify(rawHeaders)))
  }
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return 0
  if (encodings[0] === 'chunked') return 'chunked'
  if (encodings[0] !== undefined || !/^\d*$/.test(lengths[0] ?? '')) {
    throw new FramingError('unknown framing', Buffer.from(JSON.stringify(rawHeaders)))
  }
  return lengths[0] === undefined ? 'until-fin' : Number(lengths[0])
}
