import { RESERVED_NAMES } from '../log/encode.js'

/** Whether it is what `encodeBody` gives. By hand: an expression needs a stack, whose size a large body exceeds. */
export function isFrame(body: string): boolean {
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
