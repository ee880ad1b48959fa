import { LEAST, OWN, RIVAL } from '../peers/peers.js'
import { burst } from './burst.js'
import { gzip } from './deflate.js'
import { herd } from './herd.js'
import { idle } from './idle.js'
import { steady } from './steady.js'
import { stuck } from './stuck.js'
import { topics } from './topics.js'

/** In the order in which they run. */
export const CASES = [burst, steady, ...topics, stuck, herd, idle, gzip]

/** Those that a quick run has. */
const QUICK = [OWN, RIVAL, 'res-write', 'pylon-sse-gzip']
/** Where every peer runs in every round: what this plugin promises is told against them. */
const SIDE_BY_SIDE = ['burst', 'steady']
/** Where each delivery is one write, so that there is a least which it can cost. */
const ONE_BY_ONE = ['steady', 'topics']
/** Left out of a quick run, for it to be quick. */
const SLOW = ['rooms']

/** Names by which cases can be asked for, beside those of their rows. */
const ALIASES = { sustained: ['sustained-'], neighbour: ['sustained-'], topics: ['topics', 'rooms'] }

/**
 * Whether a row is asked for.
 *
 * @param {string[] | undefined} names as given to `--cases`; all when it was not
 */
export function isWanted(row, names) {
  return names === undefined || names.some((name) => (ALIASES[name] ?? [name]).some((prefix) => row.startsWith(prefix)))
}

/** Whether a peer runs a case in a round, where nothing was asked for by name. */
export function isPlanned({ name, peers }, peer, round, quick) {
  if (quick && (SLOW.includes(name) || !QUICK.includes(peer))) return false
  if (peers !== undefined) return true
  if (peer === LEAST) return ONE_BY_ONE.includes(name)
  if (peer === OWN || SIDE_BY_SIDE.includes(name)) return true
  if (name === 'idle' && peer === RIVAL) return true
  return !quick && round === 0
}
