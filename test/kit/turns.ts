// Turns of the event loop.

import type { Socket } from 'node:net'

/**
 * How many writes there are to these sockets from now on, in each turn of the event loop in which there are any; of
 * those with `text` in them where it is given.
 */
export function writesByTurn(sockets: Iterable<Socket>, text = ''): number[] {
  const counts: number[] = []
  let isSameTurn = false
  const count = () => {
    if (!isSameTurn) {
      isSameTurn = true
      counts.push(0)
      setImmediate(() => {
        isSameTurn = false
      })
    }
    counts[counts.length - 1]!++
  }
  for (const socket of sockets) {
    const { write } = socket
    socket.write = (...args: unknown[]) => {
      if (String(args[0]).includes(text)) count()
      return Reflect.apply(write, socket, args)
    }
  }
  return counts
}
