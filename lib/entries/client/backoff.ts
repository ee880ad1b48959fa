// How long to wait before another attempt. The waiting itself is in pause.ts.

import { SseError } from './errors.js'

export const NEVER = Number.POSITIVE_INFINITY
/** The longest delay that `setTimeout` takes, ms. */
export const MAX_DELAY = 2 ** 31 - 1

/**
 * Returns how long to wait after a number of failures, ms: `least`, and a random part of a span that doubles with each failure ("full
 * jitter"). The sum is at most `most`, or `least` if that is longer.
 */
export function backoff(least: number, failures: number, most: number): number {
  return least + Math.random() * Math.max(0, Math.min(most - least, Math.max(least, 1) * 2 ** failures))
}

/**
 * What a 429 or 503 asks for with `Retry-After` (RFC 9110 10.2.3), ms. Nothing for any other error, or if the header is missing or
 * malformed.
 */
export function retryAfter(error: unknown): number | undefined {
  if (!(error instanceof SseError) || (error.status !== 429 && error.status !== 503)) return undefined
  const value = error.response!.headers.get('retry-after') ?? ''
  const ms = Number(value) * 1000 || Date.parse(value) - Date.now()
  return ms >= 0 ? ms : undefined
}
