// The limits of a backplane, which are options of every engine: their defaults and checks.

import { flag, MAX_DELAY, whole } from '../api/input/checks.js'
import type { BackplaneLimits } from './backplane.js'

/** The limits as options, each of them optional. */
export type LimitOptions = { [Name in keyof BackplaneLimits]?: BackplaneLimits[Name] | undefined }

const DEFAULTS: BackplaneLimits = {
  optional: false,
  publishTimeout: 10_000,
  maxPending: 10_000,
  maxPendingBytes: 16 * 1024 * 1024
}

/** Names of the limits. */
export const LIMITS: readonly string[] = Object.keys(DEFAULTS)

/** Checks the limits and fills in the defaults. @throws InvalidOptionError */
export function resolveLimits(options: LimitOptions): BackplaneLimits {
  const given = Object.entries(options).filter(([name, value]) => LIMITS.includes(name) && value !== undefined)
  const limits: BackplaneLimits = { ...DEFAULTS, ...Object.fromEntries(given) }
  flag('backplane.optional', limits.optional)
  for (const name of ['publishTimeout', 'maxPending', 'maxPendingBytes'] as const)
    whole(1, MAX_DELAY)(`backplane.${name}`, limits[name])
  return limits
}
