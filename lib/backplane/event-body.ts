// Checks that a text read from an engine is the body of one event, as log/encode.ts makes it.

import { RESERVED_NAMES } from '../log/encode.js'

/** Whether a text is what `encodeBody` makes. Checked without a regular expression: one overflows its stack on a large body. */
export function isEventBody(body: string): boolean {
  if (!body.endsWith('\n\n') || body.includes('\r')) return false
  let at = 0
  if (body.startsWith('event: ')) {
    at = body.indexOf('\n') + 1
    const name = body.slice('event: '.length, at - 1)
    if (name === '' || name.includes('\0') || RESERVED_NAMES.has(name)) return false
  }
  const end = body.length - 1
  if (at >= end) return false
  while (at < end) {
    if (!body.startsWith('data: ', at)) return false
    at = body.indexOf('\n', at) + 1
  }
  return true
}
