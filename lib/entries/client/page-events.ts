// The events of a page or a worker after which a connection may be dead, or another attempt may succeed.

import { environment, isHidden } from './environment.js'

/**
 * Calls back when the network is back, or the page is shown, hidden, or back from the cache.
 *
 * @param callback `isHiding`: the page is hidden. `isBack`: the network or the page has been away, so that a connection is most likely
 *   dead
 * @returns a function that ends it
 */
export function onPageEvent(callback: (isHiding: boolean, isBack: boolean | undefined) => void): () => void {
  const listener = ({ type, persisted }: { type: string; persisted?: boolean }): void =>
    callback(type === 'visibilitychange' && isHidden(), type === 'online' || persisted)
  const listen = (method: 'addEventListener' | 'removeEventListener') => {
    for (const type of ['online', 'pageshow']) environment[method]?.(type, listener)
    environment.document?.[method]?.('visibilitychange', listener)
  }
  listen('addEventListener')
  return () => listen('removeEventListener')
}
