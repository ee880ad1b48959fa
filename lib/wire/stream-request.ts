// What the headers of a request ask for, and the response headers of a stream.

import type { IncomingHttpHeaders } from 'node:http'
import Negotiator from 'negotiator'
import type { ResolvedOptions } from '../api/options.js'

export const EVENT_STREAM = 'text/event-stream'
const JSON_PAGE = 'application/json'
/** Response headers of a stream, also of one that ends at once. */
export const STREAM_HEAD = {
  'content-type': EVENT_STREAM,
  // no-transform: a proxy that compresses would hold events back.
  'cache-control': 'no-cache, no-transform',
  // nginx buffers proxied responses otherwise.
  'x-accel-buffering': 'no',
  'x-content-type-options': 'nosniff'
}

/**
 * Returns the media type that the client prefers, undefined if it accepts neither. Without an Accept header, or with an
 * empty one, that is the stream's.
 */
export function negotiate(headers: IncomingHttpHeaders): string | undefined {
  const { accept } = headers
  // EventSource sends exactly this.
  if (!accept || accept === EVENT_STREAM) return EVENT_STREAM
  return new Negotiator({ headers }).mediaType([EVENT_STREAM, JSON_PAGE])
}

/**
 * Whether a GET request for the stream that cannot be served now is answered with 200 and a stream that consists of
 * `retry:`, rather than with an error status. If the option does not say, that goes for clients that name the stream in
 * `Accept`, as EventSource does: it gives up for good after any status but 200.
 */
export function takesRetry(headers: IncomingHttpHeaders, overLimit: ResolvedOptions['overLimit']): boolean {
  if (negotiate(headers) !== EVENT_STREAM) return false
  if (overLimit !== undefined) return overLimit === 'retry'
  return headers.accept?.toLowerCase().includes(EVENT_STREAM) === true
}
