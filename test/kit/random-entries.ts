// Random entries of an engine, the same for the same seed.

import { messageOf, type StoredEntry } from './foreign-entries.js'

/** Numbers from 0 up to 1, the same for the same seed (mulberry32). */
function randomNumbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

const FIELDS = ['v', 'kind', 'id', 'topic', 'except', 'isText', 'request', 'selector', 'options', 'later', '__proto__']
const TEXTS = [
  '',
  ' ',
  'x',
  'event',
  'disconnect',
  'later',
  'a.b',
  'a.*',
  '\n',
  '\u0000',
  '\ud800',
  '5-5',
  '☃'.repeat(99)
]
const PIECES = [
  'data: ',
  'data:',
  'event: ',
  'id: 7',
  'retry: 1',
  ': c',
  '\n',
  '\n\n',
  '\r\n',
  '\r',
  '\0',
  'x',
  '\ufeff',
  '☃'
]

/** Entries as a stranger might put them into an engine: of the format, nearly of it, and of none. */
export class RandomEntries {
  readonly #random: () => number
  #count = 0

  constructor(seed: number) {
    this.#random = randomNumbers(seed)
  }

  /** As fields of an entry of Redis. */
  fields(): string[] {
    const { messageId, labels, body } = this.#stored()
    const pairs = [
      ['m', messageId],
      ['l', labels],
      ['b', body]
    ]
    if (this.#isOne(8)) pairs.splice(this.#below(3), 1)
    if (this.#isOne(8)) pairs.unshift([this.#text(), this.#text()])
    if (this.#isOne(8)) pairs.reverse()
    return pairs.length === 0 ? ['x', 'x'] : pairs.flat()
  }

  /** As a message of NATS. */
  message(): Buffer {
    const entries = Array.from({ length: this.#below(5) }, () => this.#stored())
    const bytes = messageOf(entries)
    for (let n = this.#isOne(2) ? this.#below(4) : 0; n > 0; n--) bytes[this.#below(bytes.length)] = this.#below(256)
    return this.#isOne(8) ? bytes.subarray(0, this.#below(bytes.length)) : bytes
  }

  #stored(): StoredEntry {
    return {
      messageId: this.#isOne(4) ? this.#text() : `stranger:${++this.#count}`,
      labels: this.#isOne(4) ? this.#damaged(JSON.stringify(this.#labels())) : JSON.stringify(this.#labels()),
      body: this.#isOne(2) ? `data: ${this.#count}\n\n` : this.#body()
    }
  }

  #labels(): unknown {
    if (this.#isOne(8)) return this.#value(2)
    return Object.fromEntries(Array.from({ length: this.#below(3) }, () => [this.#pick(FIELDS), this.#value(2)]))
  }

  #body(): string {
    if (this.#isOne(4)) return JSON.stringify(this.#value(3))
    return Array.from({ length: this.#below(6) }, () => this.#pick(PIECES)).join('')
  }

  #value(depth: number): unknown {
    switch (this.#below(depth > 0 ? 8 : 6)) {
      case 0:
        return null
      case 1:
        return this.#isOne(2)
      case 2:
        return this.#pick([0, 1, -1, 0.5, 1e21, 2 ** 32, 7])
      case 6:
        return Array.from({ length: this.#below(3) }, () => this.#value(depth - 1))
      case 7:
        return Object.fromEntries(
          Array.from({ length: this.#below(4) }, () => [this.#pick(FIELDS), this.#value(depth - 1)])
        )
      default:
        return this.#text()
    }
  }

  #text(): string {
    return this.#pick(TEXTS)
  }

  #damaged(text: string): string {
    const at = this.#below(text.length + 1)
    return text.slice(0, at) + this.#pick(['', '"', '{', '\\', '\0', 'x']) + text.slice(at + this.#below(2))
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#below(list.length)]!
  }

  #isOne(of: number): boolean {
    return this.#below(of) === 0
  }

  #below(bound: number): number {
    return Math.floor(this.#random() * bound)
  }
}
