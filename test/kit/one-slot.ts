// An app with one slot for each address, so that a client that gets in proves that nobody else holds the slot.

import type { Test } from 'tap'
import type { Served } from './server.js'
import type { SseClient } from './sse-client.js'

/** Options of the plugin. */
export const ONE_SLOT = { maxClientsPerIp: 1, overLimit: 'status' } as const

/** A client that was admitted. */
export async function getsIn(
  t: Test,
  s: Served,
  what = 'the slot is free',
  request: Parameters<Served['connect']>[0] = {}
): Promise<SseClient> {
  const client = await s.connect(request)
  t.equal(client.status, 200, what)
  return client
}
