// A real engine under test, whichever it is. How each is started is in redis-engine.ts, nats-engine.ts and postgres-engine.ts.

import type { Test } from 'tap'
import type { Backplane, BackplaneLimits } from '../../lib/backplane/backplane.js'

/** A real engine that a test has started, with the faults that the test can cause. */
export interface Engine {
  /** The name of the engine in errors. */
  readonly name: string
  readonly port: number
  /** Creates the backplane of one process. @param port of a proxy to connect through; default: the engine's own */
  backplane(limits?: Partial<BackplaneLimits>, port?: number): Backplane
  /** Starts it again after `kill9`. It still has everything that it had acknowledged. */
  start(): Promise<void>
  kill9(): Promise<void>
  freeze(): void
  thaw(): void
  /** Removes all entries, as its bounds would do. The numbers of later entries continue. */
  trim(): Promise<void>
  /** Deletes the log. The next one begins anew. */
  flush(): Promise<void>
  /** The number of connections from backplanes. */
  countConnections(): Promise<number>
}

/** A server of an engine that the tests start and stop. */
interface EngineServer extends Pick<Engine, 'port' | 'start' | 'kill9' | 'freeze' | 'thaw'> {
  keep(): Promise<void>
  restore(): Promise<void>
  /** Names of the connections from all clients. */
  connectionNames(): Promise<string[]>
}

/** The part of an `Engine` that is the same for all servers. */
export function controlsOf(server: EngineServer) {
  return {
    port: server.port,
    start: () => server.start(),
    kill9: () => server.kill9(),
    keep: () => server.keep(),
    restore: () => server.restore(),
    freeze: () => server.freeze(),
    thaw: () => server.thaw(),
    countConnections: async () => (await server.connectionNames()).filter((name) => name === 'pylon-sse').length
  }
}

/** Starts an engine. @returns `undefined` if it is not installed on this machine */
export type StartEngine<E extends Engine = Engine> = (t: Test) => Promise<E | undefined>

/** Adds a test with an engine of its own. */
export type EngineTest<E extends Engine = Engine> = (title: string, run: (t: Test, engine: E) => Promise<void>) => void

/** @returns a function that adds tests to `t`. They are empty if the engine is not installed */
export function engineTests<E extends Engine>(t: Test, start: StartEngine<E>): EngineTest<E> {
  return (title, run) =>
    void t.test(title, async (t) => {
      const engine = await start(t)
      if (engine !== undefined) await run(t, engine)
    })
}
