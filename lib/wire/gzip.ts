import { crc32 } from 'node:zlib'

/** The head of a gzip member (RFC 1952 2.3.1): deflate, no name, no time, any system. */
export const GZIP_HEAD = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255])

/** What the end of a member tells of all that went before: kept as it goes. */
export class GzipTally {
  #crc = 0
  #size = 0

  add(bytes: Buffer): void {
    // zlib takes an empty Buffer for a question for the first value.
    if (bytes.length === 0) return
    this.#crc = crc32(bytes, this.#crc)
    // Modulo 2^32 (RFC 1952 2.3.1).
    this.#size = (this.#size + bytes.length) >>> 0
  }

  /** A final block, which is empty, and the tally. */
  end(): Buffer {
    const end = Buffer.alloc(10)
    end[0] = 3
    end.writeUInt32LE(this.#crc, 2)
    end.writeUInt32LE(this.#size, 6)
    return end
  }
}
