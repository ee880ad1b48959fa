// What all engines do before they connect: check that they are told one way to be reached, and load their client library, which the
// app has to install. The other options of each engine are in its folder.

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

/**
 * Loads the client library of an engine.
 *
 * @param name of the package, for the message
 * @param load imports it
 * @throws Error that says how to install the package, if it is missing
 */
export async function loadPackage<T>(name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (error) {
    if ((error as { code?: string }).code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new Error(`the package ${name} is not installed (npm install ${name})`, { cause: error })
  }
}
