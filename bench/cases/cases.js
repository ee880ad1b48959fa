// The list of the cases, and which of them run for which peer.

import { LEAST, OWN, RIVAL } from '../peers/peers.js'
import { burst } from './burst.js'
import { gzip } from './gzip.js'
import { herd } from './herd.js'
import { idle } from './idle.js'
import { resume } from './resume.js'
import { steady } from './steady.js'
import { stuck } from './stuck.js'
import { topics } from './topics.js'

/** The cases, in the order in which they run. */
export const CASES = [burst, steady, ...topics, stuck, herd, ...resume, idle, gzip]

/** Peers of a quick run. */
const QUICK = [OWN, RIVAL, 'res-write', 'pylon-sse-gzip']
/** Cases that every peer runs in every round: the claims compare this plugin with the others there. */
const SIDE_BY_SIDE = ['burst', 'steady']
/** Cases in which each delivery is one write, so that `LEAST` is the lower bound. */
const ONE_BY_ONE = ['steady', 'topics']
/** Cases that take too long for a quick run. */
const SLOW = ['rooms']

/** Further names by which cases can be asked for, and the beginnings of the rows that they stand for. */
const ALIASES = {
  sustained: ['sustained-'],
  neighbour: ['sustained-'],
  topics: ['topics', 'rooms'],
  resume: ['resume-']
}

/**
 * Whether a row was asked for.
 *
 * @param {string[] | undefined} names the cases named on the command line; undefined for all
 */
export function isWanted(row, names) {
  return names === undefined || names.some((name) => (ALIASES[name] ?? [name]).some((prefix) => row.startsWith(prefix)))
}

/** Whether a peer runs a case in a round, if no case and no peer was asked for by name. */
export function isPlanned({ name, peers }, peer, round, quick) {
  if (quick && (SLOW.includes(name) || !QUICK.includes(peer))) return false
  if (peers !== undefined) return true
  if (peer === LEAST) return ONE_BY_ONE.includes(name)
  if (peer === OWN || SIDE_BY_SIDE.includes(name)) return true
  if (name === 'idle' && peer === RIVAL) return true
  return !quick && round === 0
}
