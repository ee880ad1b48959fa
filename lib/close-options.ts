import { InvalidOptionError } from './errors.js'
import { unknownName } from './nearest.js'

/** How `client.close` and `app.sse.disconnect` end a stream. */
export interface CloseOptions {
  /**
   * Whether the client may come back. Default: true, and a browser's EventSource does. With false it is left with a
   * last event id that is answered with 204 on its return, which makes EventSource stay away (WHATWG HTML 9.2.3), and
   * gets an event by the name of `stay-away` that tells a page so. That keeps well-behaved clients out; access control is
   * for `route.onRequest`.
   */
  reconnect?: boolean | undefined
}

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
