// An app whose closing the test holds up, when its streams have ended.

import type { Test } from 'tap'
import type { PylonSseOptions } from '../../lib/index.js'
import pylonSse from '../../lib/index.js'
import { gate } from './deferred.js'
import { type Served, type ServeOptions, serve } from './server.js'

export interface HeldApp extends Served {
  /** The app closes, all its streams have ended, and the server listens still. */
  streamsEnded: Promise<void>
  closeServer(): void
}

/**
 * Serves an app that holds its closing between the end of its streams and the end of its server. No connection is cut
 * while it does.
 */
export async function serveHeld(
  t: Test,
  { sse, setup, ...options }: ServeOptions & { sse?: PylonSseOptions } = {}
): Promise<HeldApp> {
  const end = gate()
  const s = await serve(t, {
    ...options,
    sse: false,
    setup: async (app) => {
      await setup?.(app)
      await app.register(pylonSse, sse ?? {})
      // Of a scope of its own: those of the app come before the plugin's, wherever they were added.
      await app.register(async (scope) => scope.addHook('preClose', () => end.pass()))
    }
  })
  t.teardown(() => end.open())
  return { ...s, streamsEnded: end.reached, closeServer: () => end.open() }
}
