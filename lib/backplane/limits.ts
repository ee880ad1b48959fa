import { InvalidOptionError } from '../api/errors.js'
import type { BackplaneLimits } from './backplane.js'

/** The limits, as options: each may be left out. */
export type LimitOptions = { [Name in keyof BackplaneLimits]?: BackplaneLimits[Name] | undefined }

const DEFAULTS: BackplaneLimits = {
  optional: false,
  publishTimeout: 10_000,
  maxPending: 10_000,
  maxPendingBytes: 16 * 1024 * 1024
}

/** Names of the limits. */
export const LIMITS: readonly string[] = Object.keys(DEFAULTS)

/** The limits with their defaults. @throws InvalidOptionError */
export function resolveLimits(options: LimitOptions): BackplaneLimits {
  const { optional = DEFAULTS.optional } = options
  if (typeof optional !== 'boolean')
    throw new InvalidOptionError('backplane.optional', String(optional), 'true or false')
  return {
    optional,
    publishTimeout: whole(options, 'publishTimeout'),
    maxPending: whole(options, 'maxPending'),
    maxPendingBytes: whole(options, 'maxPendingBytes')
  }
}

function whole(options: LimitOptions, name: 'publishTimeout' | 'maxPending' | 'maxPendingBytes'): number {
  const value = options[name] ?? DEFAULTS[name]
  if (Number.isSafeInteger(value) && value >= 1 && value < 2 ** 31) return value
  throw new InvalidOptionError(`backplane.${name}`, String(value), 'a whole number from 1')
}
