// Callbacks for the end of a connection.

import type { Socket } from 'node:net'

/** Callbacks by connection, which share one listener: a client may send any number of requests at once. */
const onClose = new WeakMap<Socket, Set<() => void>>()

export function onConnectionClose(connection: Socket, callback: () => void): void {
  const callbacks = onClose.get(connection)
  if (callbacks !== undefined) {
    callbacks.add(callback)
    return
  }
  const added = new Set([callback])
  onClose.set(connection, added)
  connection.once('close', () => {
    for (const call of added) call()
  })
}

export function offConnectionClose(connection: Socket, callback: () => void): void {
  onClose.get(connection)?.delete(callback)
}
