// The data of the events that the benchmark broadcasts.

/** Approximate bytes of an event's JSON. */
const USUAL_BYTES = 100
const BYTES_WITHOUT_PAD = 54

/**
 * Returns a function that makes the data of an event: an object, which each peer serialises in its own way.
 *
 * @param {number} bytes approximate size of its JSON
 */
export function payloads(bytes = USUAL_BYTES) {
  const pad = 'x'.repeat(Math.max(0, bytes - BYTES_WITHOUT_PAD))
  return (seq, due, at) => ({ seq, due: Math.round(due), at: Math.round(at), pad })
}

const NAMES = ['Ada', 'Barbara', 'Claude', 'Donald', 'Edsger', 'Frances', 'Grace', 'Hedy']
const WORDS = ['review', 'deploy', 'invoice', 'meeting', 'release', 'ticket', 'customer', 'backup', 'report', 'update']

/** Like `payloads`, but shaped like an app's rows, with repeated field names and varying values: for compression. */
export function rowPayloads(bytes) {
  return (seq, due, at) => {
    const row = { seq, due: Math.round(due), at: Math.round(at), items: [] }
    for (let n = seq, size = BYTES_WITHOUT_PAD; size < bytes; n = (n * 31 + 7) % 1009, size += 76) {
      const [name, word] = [NAMES[n % NAMES.length], WORDS[n % WORDS.length]]
      row.items.push({ id: n * 17 + seq, assignee: name, title: `${word} ${n}`, done: n % 3 === 0 })
    }
    return row
  }
}
