/** What of a message tells one storing of it from all others. */
interface Storing {
  readonly messageId: string
  readonly message: { readonly attempt?: number | undefined }
}

/** Of a place whose entry is not known: where a log begins, or where all that it held has left it. */
const UNPROVEN = '0000000'
const NAME = /^(.+)-([0-9a-z]{7})$/s

/**
 * The id of an event that an engine's log holds: its cursor, and a fingerprint of the entry there. An engine that has
 * lost its tail gives the same cursor to another entry, which has another fingerprint.
 */
export function placeName(cursor: string, entry?: Storing): string {
  return `${cursor}-${entry === undefined ? UNPROVEN : fingerprint(entry)}`
}

/** As `Backplane.compare`, for the names of two places. */
export function comparePlaces(
  a: string,
  b: string,
  backplane: { compare(a: string, b: string): number | undefined }
): number | undefined {
  const [first, second] = [NAME.exec(a)?.[1], NAME.exec(b)?.[1]]
  return first === undefined || second === undefined ? undefined : backplane.compare(first, second)
}

/** Whether the name says nothing of the entry at its place. */
export function isUnproven(name: string): boolean {
  return name.endsWith(`-${UNPROVEN}`)
}

/** FNV-1a over what tells one storing of a message from all others. Not zero, which says that nothing is known. */
function fingerprint({ messageId, message: { attempt = 1 } }: Storing): string {
  let hash = 0x811c9dc5 ^ attempt
  for (let i = 0; i < messageId.length; i++) hash = Math.imul(hash ^ messageId.charCodeAt(i), 0x01000193)
  // The last characters, which differ, reach all bits.
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (((hash ^ (hash >>> 16)) >>> 0) + 1).toString(36).padStart(UNPROVEN.length, '0')
}
