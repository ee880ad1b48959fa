// The header and the trailer of a gzip member (RFC 1952).

import { crc32 } from 'node:zlib'

/** The header of a gzip member (RFC 1952, 2.3.1): deflate, no name, no time, unknown operating system. */
export const GZIP_HEAD = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255])

/** The checksum and size of the bytes so far, which the trailer of a member holds. */
export class GzipTally {
  #crc = 0
  #size = 0

  add(bytes: Buffer): void {
    // With an empty Buffer zlib returns the initial checksum.
    if (bytes.length === 0) return
    this.#crc = crc32(bytes, this.#crc)
    // Modulo 2^32 (RFC 1952, 2.3.1).
    this.#size = (this.#size + bytes.length) >>> 0
  }

  /** Returns an empty final block, and the trailer. */
  end(): Buffer {
    const end = Buffer.alloc(10)
    end[0] = 3
    end.writeUInt32LE(this.#crc, 2)
    end.writeUInt32LE(this.#size, 6)
    return end
  }
}
