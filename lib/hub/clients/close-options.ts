import type { CloseOptions } from '../../api/api.js'
import { flag, object, onlyKnown } from '../../api/input/checks.js'

/** Checks the options of `client.close` and `app.sse.disconnect`. @throws InvalidOptionError */
export function checkCloseOptions(options: unknown): CloseOptions {
  if (options === undefined) return {}
  object('options', options, 'an object, { reconnect? }')
  const checked = options as CloseOptions
  onlyKnown(checked, ['reconnect'])
  if (checked.reconnect !== undefined) flag('reconnect', checked.reconnect)
  return checked
}
