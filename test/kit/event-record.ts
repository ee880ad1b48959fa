import { createParser } from 'eventsource-parser'

/** A field that the server did not send is undefined: `message` and the inherited id are for clients to fill in. */
export interface SseEvent {
  id: string | undefined
  event: string | undefined
  data: string
}

/** All that an event stream has said so far. */
export class EventRecord {
  readonly events: SseEvent[] = []
  /** The plugin's own events that tell nothing of the app: `connected` and `keepalive`. */
  readonly signals: SseEvent[] = []
  readonly comments: string[] = []
  readonly retries: number[] = []
  /** Every last event id that the stream has set. Only events set one: Firefox and most other clients take no other. */
  readonly ids: string[] = []
  /** The decoded body so far, byte for byte what the server wrote, framing removed. */
  body = ''

  // Fatal, so that a character cut in two by a dropped frame is noticed; the BOM stays, since `body` is exact.
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  readonly #parser = createParser({
    onEvent: ({ id, event, data }) => {
      const isSignal = event === 'connected' || event === 'keepalive'
      const kind = isSignal ? this.signals : this.events
      kind.push({ id, event, data })
      if (id !== undefined) this.ids.push(id)
    },
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
  }
}
