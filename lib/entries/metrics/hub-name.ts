import type { FastifyInstance } from 'fastify'
import type { Sse } from '../../api/api.js'
import { InvalidOptionError } from '../../api/errors.js'

/** Which hub of an app is meant, and what it is called among others. */
export interface HubOptions {
  /** The hub's option `decorator`. Default: `'sse'`. */
  decorator?: string | undefined
  /** What the hub is called in metrics and traces. Default: `decorator`. */
  hub?: string | undefined
}

/** The hub that is meant. @throws InvalidOptionError where the app has none of this name */
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
