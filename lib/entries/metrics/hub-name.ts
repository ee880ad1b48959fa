// Which hub of an app a plugin observes, and by which name.

import type { FastifyInstance } from 'fastify'
import type { Sse } from '../../api/api.js'
import { InvalidOptionError } from '../../api/errors.js'

/** Options that choose a hub of the app, and name it. */
export interface HubOptions {
  /** The option `decorator` of the hub. Default: `'sse'`. */
  decorator?: string | undefined
  /** Name of the hub in metrics and traces. Default: `decorator`. */
  hub?: string | undefined
}

/** Returns the hub, and its name. @throws InvalidOptionError if the app has no hub of this name */
export function hubOf(app: FastifyInstance, { decorator = 'sse', hub = decorator }: HubOptions): [Sse, string] {
  checkName('decorator', decorator)
  checkName('hub', hub)
  const sse = (app as unknown as Record<string, Partial<Sse> | undefined>)[decorator]
  if (typeof sse?.stats !== 'function') {
    throw new InvalidOptionError(
      'decorator',
      `is '${decorator}', where the app has no hub; register pylon-sse before, with the same 'decorator'`
    )
  }
  return [sse as Sse, hub]
}

function checkName(option: string, value: unknown): void {
  if (typeof value === 'string' && value !== '') return
  throw new InvalidOptionError(option, value === '' ? "''" : `a value of type ${typeof value}`, 'a name')
}
