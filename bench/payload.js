/** Bytes of an event's JSON, about. */
export const USUAL_BYTES = 100
const BYTES_WITHOUT_PAD = 54

/**
 * Makes what is broadcast. The same object serves all peers: each turns it into text as it does by itself.
 *
 * @param {number} bytes size of its JSON, about
 */
export function payloads(bytes = USUAL_BYTES) {
  const pad = 'x'.repeat(Math.max(0, bytes - BYTES_WITHOUT_PAD))
  return (seq, due, at) => ({ seq, due: Math.round(due), at: Math.round(at), pad })
}
