// Events beside what a client makes of their bytes.

import { createParser } from 'eventsource-parser'
import type { EventOptions } from '../../lib/api/api.js'
import { encodeBody, encodeFrame, readEventOptions } from '../../lib/log/encode.js'

export interface SentEvent extends EventOptions {
  text: string
}

interface Received {
  events: { id: string | undefined; event: string | undefined; data: string }[]
  comments: string[]
  retries: number[]
  /** Lines that are no field of a stream. */
  strays: string[]
}

export function frameOf({ text, event, id }: SentEvent): Buffer {
  const options = readEventOptions({ event, id })
  return Buffer.from(encodeFrame(options.id, encodeBody(text, options, Number.POSITIVE_INFINITY)))
}

/** What a client makes of bytes that come to it in these pieces. */
export function receive(...pieces: Uint8Array[]): Received {
  const received: Received = { events: [], comments: [], retries: [], strays: [] }
  const parser = createParser({
    onEvent: ({ id, event, data }) => received.events.push({ id, event, data }),
    onComment: (comment) => received.comments.push(comment),
    onRetry: (retry) => received.retries.push(retry),
    onError: (error) => received.strays.push(error.message)
  })
  const decoder = new TextDecoder('utf-8', { fatal: true })
  for (const piece of pieces) parser.feed(decoder.decode(piece, { stream: true }))
  parser.feed(decoder.decode())
  return received
}

/** UTF-8 has no form for half a character: the client gets the replacement character, as from JSON and from `fetch`. */
function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\ufffd')
}

export function expected({ text, event, id }: SentEvent): Received['events'][number] {
  const data = wellFormed(text).replaceAll('\r\n', '\n').replaceAll('\r', '\n')
  return { id, event: event ? wellFormed(event) : undefined, data }
}

export function onlyEvents(...events: SentEvent[]): Received {
  return { events: events.map(expected), comments: [], retries: [], strays: [] }
}
