// Ids of events whose order an engine decides: the engine's cursor, and a fingerprint of the entry there.

/** What identifies one stored copy of a message. */
interface Storing {
  readonly messageId: string
  readonly message: { readonly attempt?: number | undefined }
}

/** The fingerprint of a place without a known entry: where a log begins, or where it has become empty. */
const UNPROVEN = '0000000'
const NAME = /^(.+)-([0-9a-z]{7})$/s

/**
 * Returns the id of an event in an engine's log: its cursor, and a fingerprint of the entry there. An engine that has
 * lost the end of its log assigns the same cursor to another entry, which has another fingerprint.
 */
export function engineId(cursor: string, entry?: Storing): string {
  return `${cursor}-${entry === undefined ? UNPROVEN : fingerprint(entry)}`
}

/** Like `Backplane.compare`, for the ids that `engineId` returns. */
export function compareEngineIds(
  a: string,
  b: string,
  backplane: { compare(a: string, b: string): number | undefined }
): number | undefined {
  const [first, second] = [NAME.exec(a)?.[1], NAME.exec(b)?.[1]]
  return first === undefined || second === undefined ? undefined : backplane.compare(first, second)
}

/** Whether an id has no fingerprint of an entry. */
export function isUnproven(name: string): boolean {
  return name.endsWith(`-${UNPROVEN}`)
}

/** FNV-1a over what identifies the stored copy. Never zero, which stands for an unknown entry. */
function fingerprint({ messageId, message: { attempt = 1 } }: Storing): string {
  let hash = 0x811c9dc5 ^ attempt
  for (let i = 0; i < messageId.length; i++) hash = Math.imul(hash ^ messageId.charCodeAt(i), 0x01000193)
  // Message ids often differ only in their last characters: this mixes them into all bits.
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (((hash ^ (hash >>> 16)) >>> 0) + 1).toString(36).padStart(UNPROVEN.length, '0')
}
