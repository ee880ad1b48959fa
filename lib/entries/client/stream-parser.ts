import { createParser, type EventSourceParser } from 'eventsource-parser'
import type { SseEvent } from './event.js'

/** Who is told what a stream holds. */
interface Reader {
  /** The reconnection time, ms. */
  onRetry(ms: number): void
  /** The app on the server has subscribed the client to a topic, or has ended that. */
  onSubscription(topic: string, isSubscribed: boolean): void
  onEvent(event: SseEvent): void
}

/**
 * Parses a stream of the plugin's, with what its comments tell (docs/wire.md): an event's topic, whether its data are text, and what
 * the app on the server has subscribed the client to.
 */
export function streamParser({ onRetry, onSubscription, onEvent }: Reader): EventSourceParser {
  let topic: string | undefined
  let isText = false
  return createParser({
    onRetry,
    onComment: (comment) => {
      // A topic may hold spaces.
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
