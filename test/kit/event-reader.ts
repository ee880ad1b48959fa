// The stream reader of pylon-sse/testing, for events as they are on the wire.

import { type Head as LibHead, StreamReader } from '../../lib/entries/testing/stream-reader.js'
import { PATIENCE } from './patience.js'

export type Head = LibHead

/** A field that the server did not send is undefined: `message` and the inherited id are for clients to fill in. */
export interface SseEvent {
  id: string | undefined
  event: string | undefined
  data: string
}

/** The reader of pylon-sse/testing, with events as they stand on the wire, and waits for what no event tells. */
export class EventReader extends StreamReader<SseEvent> {
  constructor() {
    super({ interpret: ({ id, event, data }) => ({ id, event, data }), patience: PATIENCE })
  }

  /** Resolves once `text` has come as a comment `times` times since the beginning. */
  waitForComment(text: string, times = 1, ms?: number): Promise<string> {
    const look = () => (this.comments.filter((comment) => comment === text).length >= times ? text : undefined)
    return this.wait(`comment '${text}' (${times} in all)`, ms, look)
  }

  /** What the stream begins with: the client's id, and the interval of its keepalives, ms. */
  async greeting(ms?: number): Promise<{ client: string; keepAlive: number }> {
    const { data } = await this.connected(ms)
    return JSON.parse(data)
  }

  /** The `times`-th `retry:` since the beginning. */
  waitForRetry(times = 1, ms?: number): Promise<number> {
    return this.wait(`a retry field (${times} in all)`, ms, () => this.retries[times - 1])
  }

  /** Resolves once `id`, or any id when none is given, has been the last event id. */
  waitForId(id?: string, ms?: number): Promise<string> {
    const look = () => (id === undefined ? this.ids[0] : this.ids.find((seen) => seen === id))
    return this.wait(id === undefined ? 'an id' : `id '${id}'`, ms, look)
  }

  /** The end of the connection, clean or not; then `ended` and `error` say which. */
  waitForClose(ms?: number): Promise<true> {
    const isOver = () => false
    return this.wait('the connection to close', ms, () => this.isClosed || undefined, isOver)
  }
}
