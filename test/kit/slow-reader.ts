import { type ConnectOptions, connect, type SseClient } from './sse-client.js'
import type { Target } from './stream-request.js'

/**
 * What must be written to a client that does not read before the server's `write` is sure to go unanswered by `drain`,
 * in bytes: a client is stuck only once the kernel is full, and Node cannot set its buffers. Measured on Linux 6.18.
 *
 * Over TCP the kernel took 3.9 MiB from a client that never read, 4.6 to 5.2 MiB from one that read at full speed
 * before: nearly all of it is the sender's buffer, which grows to tcp_wmem's 4 MiB, while the receiver's stays at
 * 128 KiB as long as nobody reads. Over a unix socket, whose buffers do not grow, it took 208 KiB, and less when the
 * writes were small: where the address does not matter, a stuck client is twenty times cheaper there. Over HTTP/2 the
 * client's window stops the server after 64 KiB.
 */
export const KERNEL_HOLDS = { tcp: 8 * 2 ** 20, unix: 2 ** 20, http2: 2 ** 18 } as const

/**
 * A client that asks for the stream and then reads nothing, as a suspended laptop does. `resume()` makes it an
 * ordinary one; before that it notices nothing, not even that it was disconnected. By default it reads the head, so
 * that the server is known to have it as a client.
 */
export function stuckClient(target: Target | number, options: ConnectOptions = {}): Promise<SseClient> {
  return connect(target, { stuckBefore: 'body', ...options })
}
