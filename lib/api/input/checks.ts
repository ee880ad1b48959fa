// Checks of option values, for the options of any function. Each throws InvalidOptionError if a value is not what the
// option takes. Which option has which check is in option-checks.ts and in the entries.

import { InvalidOptionError } from '../errors.js'
import { show } from './error-text.js'
import { unknownName } from './nearest-name.js'

/** Checks the value of an option. `name` is how error messages call the option. */
export type Check = (name: string, value: unknown) => void

/** The longest delay of Node's timers, ms. */
export const MAX_DELAY = 2 ** 31 - 1

/** A whole number within bounds. `or`: what else the option takes, for the message. */
export function whole(min: number, max = Number.MAX_SAFE_INTEGER, or = ''): Check {
  return (name, value) => {
    if (!Number.isSafeInteger(value) || (value as number) < min || (value as number) > max) {
      const upTo = max === Number.MAX_SAFE_INTEGER ? '' : ` to ${max}`
      refuse(name, value, `a whole number from ${min}${upTo}${or}`)
    }
  }
}

/** One of some strings. */
export function oneOf(...values: string[]): Check {
  return (name, value) => {
    if (!values.includes(value as string)) refuse(name, value, values.map((one) => `'${one}'`).join(' or '))
  }
}

/** `true` or `false`. */
export function flag(name: string, value: unknown): void {
  if (typeof value !== 'boolean') refuse(name, value, 'true or false')
}

export function callable(name: string, value: unknown): void {
  if (typeof value !== 'function') refuse(name, value, 'a function')
}

/** An object that is not an array. `takes`: what the option takes, for the message. */
export function object(name: string, value: unknown, takes = 'an object'): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) refuse(name, value, takes)
}

/** The fields of an object: each has a check or is refused as unknown. A field may be undefined. */
export function fields(name: string, value: object, checks: Record<string, Check>): void {
  for (const [key, field] of Object.entries(value)) {
    if (!Object.hasOwn(checks, key)) refuseUnknown(key, Object.keys(checks), `${name}.`)
    if (field !== undefined) checks[key]!(`${name}.${key}`, field)
  }
}

/** @throws InvalidOptionError if an object has a name that is not known; the message suggests the nearest known one */
export function onlyKnown(options: object, known: readonly string[], prefix = ''): void {
  for (const name of Object.keys(options)) if (!known.includes(name)) refuseUnknown(name, known, prefix)
}

/** @throws InvalidOptionError with what an option got and what it takes */
export function refuse(name: string, value: unknown, takes: string): never {
  throw new InvalidOptionError(name, show(value), takes)
}

function refuseUnknown(name: string, known: readonly string[], prefix: string): never {
  throw new InvalidOptionError(`${prefix}${name}`, unknownName(name, known, prefix))
}

/**
 * Whether a callback that must return its result at once has returned a promise. A rejection of the promise is ignored:
 * the caller throws an error of its own, and an unhandled rejection would end the process.
 */
export function isUnexpectedPromise(result: unknown): boolean {
  if (typeof result !== 'object' || result === null || !('then' in result)) return false
  Promise.resolve(result).catch(() => {})
  return true
}
