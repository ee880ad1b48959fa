/**
 * The clients of a peer that has no topics of its own: one container for each topic, or a single one under `undefined`.
 *
 * @template Room
 * @param {number} topics topics of the case, named `t0`, `t1`, …; 0 if it has none
 * @param {() => Room} create makes the container of one topic
 * @returns {Map<string | undefined, Room>}
 */
export function roomsOf(topics, create) {
  if (topics === 0) return new Map([[undefined, create()]])
  return new Map(Array.from({ length: topics }, (_, n) => [`t${n}`, create()]))
}
