// Everything that a stream has sent so far, parsed. Waiting for more is added in stream-reader.ts.

import { createParser, type EventSourceParser } from 'eventsource-parser'

/** An event as it stood in the stream. A field that the server did not send is undefined. */
export interface WireEvent {
  id: string | undefined
  event: string | undefined
  data: string
  /** From the comments before it: see docs/wire.md. */
  topic: string | undefined
  isText: boolean
}

/**
 * Everything that a stream has sent so far, over one connection or several. `Event` is what `interpret` makes of each
 * event.
 */
export class EventRecord<Event> {
  readonly events: Event[] = []
  /** Events of the plugin itself: `connected` and `keepalive`. */
  readonly signals: Event[] = []
  readonly comments: string[] = []
  readonly retries: number[] = []
  /** Every last event id that the stream has set. Only events set one: Firefox and most other clients take no other. */
  readonly ids: string[] = []
  /** The decoded body of the connection so far, byte for byte what the server wrote, framing removed. */
  body = ''

  readonly #interpret: (event: WireEvent) => Event
  #decoder!: InstanceType<typeof TextDecoder>
  #parser!: EventSourceParser

  constructor(interpret: (event: WireEvent) => Event) {
    this.#interpret = interpret
    this.beginBody()
  }

  /** What a browser would send in Last-Event-ID if it reconnected now. */
  get lastEventId(): string {
    return this.ids.at(-1) ?? ''
  }

  protected beginBody(): void {
    this.body = ''
    // Fatal, so that a character cut in two by a lost frame is noticed; the BOM stays, since `body` is exact.
    this.#decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
    let topic: string | undefined
    let isText = false
    this.#parser = createParser({
      onEvent: ({ id, event, data }) => {
        const kind = event === 'connected' || event === 'keepalive' ? this.signals : this.events
        kind.push(this.#interpret({ id, event, data, topic, isText }))
        if (id !== undefined) this.ids.push(id)
        topic = undefined
        isText = false
      },
      onComment: (comment) => {
        if (comment === 'text') isText = true
        else if (comment.startsWith('topic ')) topic = comment.slice('topic '.length)
        this.comments.push(comment)
      },
      onRetry: (retry) => this.retries.push(retry)
    })
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
