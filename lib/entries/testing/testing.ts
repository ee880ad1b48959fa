/**
 * A client for tests of event streams, with any test runner. What `listen` returns is in listener.ts.
 *
 * @module pylon-sse/testing
 */
import { InvalidOptionError } from '../../api/errors.js'
import { show } from '../../api/input/error-text.js'
import type { DeclaredEvents } from './event.js'
import { openInject } from './inject.js'
import { type Open, SseListener } from './listener.js'
import { checkListenOptions, type ListenOptions } from './options.js'
import { openSocket } from './socket.js'
import { isApp, type ListenableApp, placeOfApp, placeOfUrl, urlOf } from './target.js'

export { BrokenStreamError, NotReceivedError, UnexpectedEventError } from './errors.js'
export type { AnyHeardEvent, DeclaredEvents, HeardEvent, HeardEvents, HeardName, Resync, SseEvent } from './event.js'
export type { Connected, ListenResponse, SseListener } from './listener.js'
export type { ListenOptions, WaitOptions } from './options.js'
export type { ListenableApp } from './target.js'

/**
 * Opens a stream, and resolves when the response has begun, whatever its status. The client gets events that the app
 * broadcasts from then on.
 *
 * The stream ends with the app; `close()` and `await using` end it before.
 *
 * @param target the app, or the URL of a server
 * @param path the path of the stream, from the root; may be left out. Default: `'/events'` of an app, the URL itself
 * @param options what to request, and how
 * @throws InvalidOptionError that names the option, what it got and what it takes
 * @throws NotReceivedError if there is no response within `timeout`
 *
 * @example
 * const events = await listen(app, '/events', { topics: ['todos'] })
 * await app.inject({ method: 'POST', url: '/todos', payload: { title: 'Write' } })
 * assert.equal((await events.next('todo.created')).data.title, 'Write')
 */
export function listen<Events extends object = DeclaredEvents>(
  target: ListenableApp | string | URL,
  path: string,
  options?: ListenOptions
): Promise<SseListener<Events>>
export function listen<Events extends object = DeclaredEvents>(
  target: ListenableApp | string | URL,
  options?: ListenOptions
): Promise<SseListener<Events>>
export async function listen<Events extends object = DeclaredEvents>(
  target: ListenableApp | string | URL,
  pathOrOptions?: string | ListenOptions,
  optionsAfterPath?: ListenOptions
): Promise<SseListener<Events>> {
  const [path, options = {}] =
    typeof pathOrOptions === 'object' ? [undefined, pathOrOptions] : [pathOrOptions, optionsAfterPath]
  checkListenOptions(options)
  if (path !== undefined && (typeof path !== 'string' || !path.startsWith('/')))
    throw new InvalidOptionError('path', show(path), "a path such as '/events'")
  const [open, fullPath] = isApp(target) ? ofApp(target, path, options) : ofUrl(urlOf(target, path), options)
  return new SseListener<Events>(open, fullPath, options).begin()
}

function ofApp(app: ListenableApp, path = '/events', options: ListenOptions): [Open, string] {
  const { ip, ca } = options
  const open: Open = async (request, reader) => {
    const { transport = app.server.listening ? 'socket' : 'inject' } = options
    if (transport === 'inject') return openInject(app, request, ip, reader)
    return openSocket(await placeOfApp(app), request, { localAddress: ip, ca }, reader)
  }
  return [open, path]
}

function ofUrl(url: URL, { transport, ip, ca }: ListenOptions): [Open, string] {
  if (transport === 'inject')
    throw new InvalidOptionError('transport', "'inject'", "'socket' for a URL; 'inject' takes an app")
  return [
    (request, reader) => openSocket(placeOfUrl(url), request, { localAddress: ip, ca }, reader),
    url.pathname + url.search
  ]
}
