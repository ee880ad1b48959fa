// Clients that read slowly, and how much it takes to block one.

import type { PylonSseOptions } from '../../lib/index.js'
import type { Served, ServeOptions } from './server.js'
import { type ConnectOptions, connect, type SseClient } from './sse-client.js'
import type { Target } from './stream-request.js'

/**
 * How many bytes to write to a client that does not read, so that `drain` is sure to stay away. A client is stuck only
 * once the kernel is full, and Node cannot set the kernel's buffers; these have room above what was measured on Linux
 * 6.18, with Node's own buffer:
 *
 * - TCP and TLS: 4.0 MB when it never read, up to 5.2 MB when it read at full speed first. Nearly all of it is the
 *   sender's buffer, which grows to tcp_wmem's 4 MiB; the receiver's does not grow while nobody reads.
 * - Unix socket: 0.26 MB, less with small writes; its buffers do not grow. Where no address is needed, a stuck client
 *   is twenty times cheaper there.
 * - HTTP/2: 0.13 MB (0.07 on Node 20): the client's flow control window of 64 KiB, and Node's buffer.
 */
export const KERNEL_HOLDS = { tcp: 8 * 2 ** 20, unix: 2 ** 19, http2: 2 ** 18 } as const

/** Bytes of an event of which a few make a client stuck. */
export const BIG = 64 * 1024
/** So many events of that size make a client stuck that does not read, over a unix socket. */
export const FILL = KERNEL_HOLDS.unix / BIG + 5

/**
 * A client that asks for the stream and then reads nothing, as a suspended laptop does. `resume()` makes it an
 * ordinary one; before that it notices nothing, not even that it was disconnected. By default it reads the head, so
 * that the server is known to have it as a client.
 */
export function stuckClient(target: Target | number, options: ConnectOptions = {}): Promise<SseClient> {
  return connect(target, { stuckBefore: 'body', ...options })
}

/** An event that makes a client stuck that does not read, over a unix socket. */
export const BULK = 'x'.repeat(KERNEL_HOLDS.unix)
/** For clients that get stuck: it takes little there. One shard, so that all have been served by the time one has. */
export const ON_UNIX_SOCKET: ServeOptions & { sse: PylonSseOptions } = { transport: 'unix', sse: { shards: 1 } }

/** Comes, reads nothing, and is stuck; `reader`, which came before, reads what it takes. */
export async function blockedClient(s: Served, reader: { next(): Promise<unknown> }) {
  const stuck = await stuckClient(s)
  s.app.sse.broadcastMessage(BULK)
  await reader.next()
  return stuck
}
