// Checks that the options of all engines have in common. What each engine takes beside is in its folder.
import { InvalidOptionError } from '../api/errors.js'

/**
 * Checks that exactly one of the ways to reach an engine was given.
 *
 * @param ways by the names of their options; undefined if not given
 * @throws InvalidOptionError
 */
export function oneEngine(ways: Readonly<Record<string, unknown>>): void {
  const names = Object.keys(ways)
  const given = names.filter((name) => ways[name] !== undefined)
  if (given.length === 1) return
  const got =
    given.length === 0
      ? `neither ${names.slice(0, -1).join(', ')} nor ${names.at(-1)}`
      : `${given.length === 2 ? 'both ' : ''}${given.join(' and ')}`
  throw new InvalidOptionError('backplane', got, 'one of them')
}
