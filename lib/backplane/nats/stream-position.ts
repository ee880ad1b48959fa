// The place up to which a process has read the stream of NATS, and whether what follows continues it. How the stream is read is
// in stream-reader.ts.

import type { StreamInfo } from '@nats-io/jetstream'
import type { Continuity } from '../membership.js'
import type { StreamMessage } from './feed.js'
import { type Loaded, lastNanos } from './nats-stream.js'
import { epochOf } from './stream-cursor.js'

/**
 * What to do with a message:
 * - `take`: it is the next one;
 * - `skip`: it has been read before;
 * - `ask`: messages before it are missing, and only the stream can say whether they are lost;
 * - `lost`: it proves that the stream has lost messages which were read.
 */
export type Verdict = 'take' | 'skip' | 'ask' | 'lost'

export class StreamPosition {
  #epoch = ''
  #next = 0
  /** When the server got the message before the next one, ns since 1970. */
  #nanos = ''
  /** Whether the message before the next one has yet to be seen again, after the connection was lost. */
  #isUnsure = false
  /** Whether the message before the next one is missing, or is not the one that was read. */
  #isLost = false

  /** Names the stream, from its creation to its deletion. */
  get epoch(): string {
    return this.#epoch
  }

  /** Number of the message that comes next. */
  get next(): number {
    return this.#next
  }

  /** Number of the message to read from. */
  get start(): number {
    return this.#isUnsure ? this.#next - 1 : this.#next
  }

  /** Continues from the end of what was loaded. */
  goOnFrom({ epoch, next, nanos }: Loaded): void {
    this.#epoch = epoch
    this.#next = next
    this.#nanos = nanos
    this.#isUnsure = false
    this.#isLost = false
  }

  /** Compares the stream with what was read, before it is read again. */
  resume(info: StreamInfo): Continuity {
    const continuity = this.#isLost ? 'lost' : this.continuityIn(info)
    // If nothing has come since, what the stream says of its newest message is enough.
    this.#isUnsure = continuity === 'whole' && this.#next > 1 && info.state.last_seq >= this.#next
    // The message that would prove it has just been trimmed.
    /* c8 ignore next: by a message */
    return this.#isUnsure && info.state.first_seq === this.#next ? 'trimmed' : continuity
  }

  /** Compares the stream with what was read, as far as the stream's own figures tell. */
  continuityIn(info: StreamInfo): Continuity {
    const { first_seq: oldest, last_seq: newest, messages } = info.state
    if (epochOf(info) !== this.#epoch || newest < this.#next - 1) return 'lost'
    // Another message of the same number has another time. An empty stream may have forgotten the time.
    if (messages > 0 && newest === this.#next - 1 && lastNanos(info) !== this.#nanos) return 'lost'
    return oldest > this.#next ? 'trimmed' : 'whole'
  }

  /** Judges a message that has come, and moves behind it if it is the next one. */
  judge({ seq, nanos }: StreamMessage): Verdict {
    if (this.#isUnsure) {
      // The first message must be the last one that was read: a log grows only at its end, so this proves what is before it.
      this.#isUnsure = false
      if (seq !== this.#next - 1 || nanos !== this.#nanos) {
        this.#isLost = true
        return 'lost'
      }
    }
    if (seq !== this.#next) return seq < this.#next ? 'skip' : 'ask'
    this.#next = seq + 1
    this.#nanos = nanos
    return 'take'
  }

  /** Continues with a message although others before it are missing: somebody has deleted them one by one. */
  skipTo({ seq }: StreamMessage): void {
    this.#next = seq
  }
}
