import { createParser } from 'eventsource-parser'
import { IdParser } from './id-parser.js'

/** A field that the server did not send is undefined: `message` and the inherited id are for clients to fill in. */
export interface SseEvent {
  id: string | undefined
  event: string | undefined
  data: string
}

/** All that an event stream has said so far. */
export class EventRecord {
  readonly events: SseEvent[] = []
  readonly comments: string[] = []
  readonly retries: number[] = []
  /** Every last event id that the stream has set, those of blocks without data included. */
  readonly ids: string[] = []
  /** The decoded body so far, byte for byte what the server wrote, framing removed. */
  body = ''

  // Fatal, so that a character cut in two by a dropped frame is noticed; the BOM stays, since `body` is exact.
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  readonly #idParser = new IdParser((id) => this.ids.push(id))
  readonly #parser = createParser({
    onEvent: ({ id, event, data }) => this.events.push({ id, event, data }),
    onComment: (comment) => this.comments.push(comment),
    onRetry: (retry) => this.retries.push(retry)
  })

  /** What a browser would send in Last-Event-ID if it reconnected now. */
  get lastEventId(): string {
    return this.ids.at(-1) ?? ''
  }

  /** Throws on bytes that are not UTF-8; without bytes, on a character that the end of the body cuts in two. */
  protected record(bytes?: Uint8Array): void {
    const text = this.#decoder.decode(bytes, { stream: bytes !== undefined })
    // eventsource-parser looks for the BOM as three characters, so it misses a decoded one.
    const stream = this.body === '' ? text.replace(/^\uFEFF/, '') : text
    this.body += text
    this.#parser.feed(stream)
    this.#idParser.feed(stream)
  }
}
