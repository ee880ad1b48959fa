// Compresses pieces of a stream so that each can follow any other: raw deflate. The header and the trailer of gzip are
// in wire/gzip.ts.

import { constants, deflateRaw, deflateRawSync } from 'node:zlib'

/** Smaller pieces are not compressed: setting up a compressor costs more than it saves. Bytes. */
const MIN_BYTES = 100
/** Larger pieces are compressed off the event loop. Bytes. */
const MAX_SYNC_BYTES = 16 * 1024
/** Settings for small pieces. Most of their cost is setting up the compressor, which is cheaper with a small window. */
const SMALL = { windowBits: 12, memLevel: 5 }
const SMALL_BYTES = 4 * 1024

/**
 * An empty stored block (RFC 1951, 3.2.4), which ends each piece as a flush of zlib does. Without it some inflaters,
 * such as Go's, hold bytes back until their window is full.
 */
const FLUSH = Buffer.from([0, 0, 0, 0xff, 0xff])

/**
 * Compresses bytes into deflate blocks (RFC 1951) that refer to nothing before them, end on a byte boundary, are
 * flushed, and are not final. The result can follow anything, in any client's stream.
 */
export function deflatePiece(bytes: Buffer): Buffer {
  if (bytes.length < MIN_BYTES) return store(bytes)
  return deflateRawSync(bytes, { finishFlush: constants.Z_FULL_FLUSH, ...(bytes.length < SMALL_BYTES && SMALL) })
}

/** Whether a piece of this size should be compressed with `deflatePieceLater`. */
export function isLarge(bytes: number): boolean {
  return bytes > MAX_SYNC_BYTES
}

/** Like `deflatePiece`, but off the event loop. */
export function deflatePieceLater(bytes: Buffer, done: (piece: Buffer) => void): void {
  deflateRaw(bytes, { finishFlush: constants.Z_FULL_FLUSH }, (error, piece) => {
    // The only possible cause is a lack of memory. The piece is then sent uncompressed.
    done(error === null ? piece : store(bytes))
  })
}

/** Like `deflatePiece`, but without compression: stored blocks, whose length field has 16 bits. */
export function store(bytes: Buffer): Buffer {
  const blocks: Buffer[] = []
  for (let start = 0; start < bytes.length; start += 0xffff) {
    const block = bytes.subarray(start, start + 0xffff)
    const head = Buffer.alloc(5)
    head.writeUInt16LE(block.length, 1)
    head.writeUInt16LE(0xffff - block.length, 3)
    blocks.push(head, block)
  }
  return Buffer.concat([...blocks, FLUSH])
}
