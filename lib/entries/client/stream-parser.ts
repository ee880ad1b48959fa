// The parser of a stream: events, and the plugin's comments (docs/wire.md). The grammar itself is eventsource-parser's.

import { createParser, type EventSourceParser } from 'eventsource-parser'
import type { SseEvent } from './event.js'

/** Receives what a stream holds. */
interface Reader {
  /** The reconnection time, ms. */
  onRetry(ms: number): void
  /** The client has been subscribed to a topic on the server, or unsubscribed. */
  onSubscription(topic: string, isSubscribed: boolean): void
  onEvent(event: SseEvent): void
}

/** Parses a stream. Comments give the topic of an event, whether its data is text, and the subscriptions of the client. */
export function streamParser({ onRetry, onSubscription, onEvent }: Reader): EventSourceParser {
  let topic: string | undefined
  let isText = false
  return createParser({
    onRetry,
    onComment: (comment) => {
      // A topic may contain spaces.
      const at = comment.indexOf(' ')
      const [word, rest] = [comment.slice(0, at), comment.slice(at + 1)]
      if (comment === 'text') isText = true
      else if (word === 'topic') topic = rest
      else if (word === 'subscribed') onSubscription(rest, true)
      else if (word === 'unsubscribed') onSubscription(rest, false)
    },
    onEvent: ({ id, event = 'message', data }) => {
      const received = { event, data: isText ? data : parse(data), id, topic }
      topic = undefined
      isText = false
      onEvent(received)
    }
  })
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
