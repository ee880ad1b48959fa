import type { CloseOptions } from '../api.js'
import { InvalidOptionError } from '../errors.js'
import { unknownName } from '../input/nearest-name.js'

/** @throws InvalidOptionError that names the option, what it got and what it takes */
export function checkCloseOptions(options: unknown): CloseOptions {
  if (options === undefined) return {}
  if (typeof options !== 'object' || options === null) {
    throw new InvalidOptionError('options', String(options), 'an object, { reconnect? }')
  }
  for (const [name, value] of Object.entries(options)) {
    if (name !== 'reconnect') throw new InvalidOptionError(name, unknownName(name, ['reconnect']))
    if (value !== undefined && typeof value !== 'boolean') {
      throw new InvalidOptionError(name, `a value of type ${typeof value}`, 'true or false')
    }
  }
  return options
}
