import type { IncomingHttpHeaders } from 'node:http'
import Negotiator from 'negotiator'
import type { ResolvedOptions } from '../api/options.js'

export const EVENT_STREAM = 'text/event-stream'
const JSON_PAGE = 'application/json'
/** Headers of the stream, also of one that ends at once. */
export const STREAM_HEAD = {
  'content-type': EVENT_STREAM,
  // no-transform: a proxy that compresses would hold events back.
  'cache-control': 'no-cache, no-transform',
  // nginx buffers proxied responses otherwise.
  'x-accel-buffering': 'no',
  'x-content-type-options': 'nosniff'
}

/** What of the two forms the client prefers; the stream, where it does not say. An empty Accept says nothing. */
export function negotiate(headers: IncomingHttpHeaders): string | undefined {
  const { accept } = headers
  // What EventSource sends is that alone.
  if (!accept || accept === EVENT_STREAM) return EVENT_STREAM
  return new Negotiator({ headers }).mediaType([EVENT_STREAM, JSON_PAGE])
}

/**
 * Whether a GET request asks for the stream, and is told when to come back, where it cannot have it now, by a stream of a
 * `retry:` alone rather than by a status. Where the option does not say, that goes for clients that name the stream in
 * `Accept`, as EventSource does: it gives up for good after any status but 200.
 */
export function takesRetry(headers: IncomingHttpHeaders, overLimit: ResolvedOptions['overLimit']): boolean {
  if (negotiate(headers) !== EVENT_STREAM) return false
  if (overLimit !== undefined) return overLimit === 'retry'
  return headers.accept?.toLowerCase().includes(EVENT_STREAM) === true
}
