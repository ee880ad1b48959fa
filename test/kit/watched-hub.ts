// An app with a dashboard, and the snapshots that it sends.

import type { Test } from 'tap'
import type { SseDashboardOptions } from '../../lib/entries/dashboard/dashboard.js'
import sseDashboard from '../../lib/entries/dashboard/dashboard.js'
import type { Snapshot } from '../../lib/entries/dashboard/snapshot.js'
import type { PylonSseOptions } from '../../lib/index.js'
import pylonSse from '../../lib/index.js'
import { type ServeOptions, serve } from './server.js'

export const OPEN: SseDashboardOptions = { unprotected: true, interval: 100 }

export async function watched(
  t: Test,
  options: SseDashboardOptions = OPEN,
  sse: PylonSseOptions = {},
  serving: Omit<ServeOptions, 'sse'> = {}
) {
  return serve(t, {
    ...serving,
    sse: false,
    setup: async (app) => {
      await app.register(pylonSse, sse)
      await app.register(sseDashboard, options)
    }
  })
}

export async function snapshots(s: Awaited<ReturnType<typeof watched>>, path = '/sse-dashboard/events') {
  const reader = await s.connect({ path })
  return {
    ...reader,
    close: () => reader.close(),
    async until(isWanted: (snapshot: Snapshot) => boolean): Promise<Snapshot> {
      const { data } = await reader.until(({ event, data }) => event === 'snapshot' && isWanted(JSON.parse(data)))
      return JSON.parse(data)
    }
  }
}
