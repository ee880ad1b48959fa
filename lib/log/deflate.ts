import { constants, deflateRaw, deflateRawSync } from 'node:zlib'

/** Below that many bytes there is nothing to gain, and a compressor costs more than it saves. */
const MIN_BYTES = 100
/** From that many bytes on, compressing takes long enough to be done off the event loop. */
const MAX_SYNC_BYTES = 16 * 1024
/** A window no larger than needed: most of the cost of a small piece is to set up the compressor. */
const SMALL = { windowBits: 12, memLevel: 5 }
const SMALL_BYTES = 4 * 1024

/**
 * Ends each piece, as zlib's flushes do: an empty stored block (RFC 1951 3.2.4). It makes an inflater deliver what it has;
 * Go's holds a block's bytes back otherwise, until its window is full.
 */
const FLUSH = Buffer.from([0, 0, 0, 0xff, 0xff])

/**
 * Bytes as deflate blocks (RFC 1951) that refer to nothing before them, end at a byte, and are flushed, none of them being
 * final: the same can follow anything, in any client's stream.
 */
export function deflatePiece(bytes: Buffer): Buffer {
  if (bytes.length < MIN_BYTES) return store(bytes)
  return deflateRawSync(bytes, { finishFlush: constants.Z_FULL_FLUSH, ...(bytes.length < SMALL_BYTES && SMALL) })
}

/** Whether a piece of so many bytes is better deflated by `deflatePieceLater`. */
export function isLarge(bytes: number): boolean {
  return bytes > MAX_SYNC_BYTES
}

/** As `deflatePiece`, off the event loop. */
export function deflatePieceLater(bytes: Buffer, done: (piece: Buffer) => void): void {
  deflateRaw(bytes, { finishFlush: constants.Z_FULL_FLUSH }, (error, piece) => {
    // Only memory can be short, and then it costs bytes alone.
    done(error === null ? piece : store(bytes))
  })
}

/** As `deflatePiece`, without compressing: stored blocks, each with a length of 16 bits. */
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
