// Many readers in a process of their own, which is crowd-process.js.

import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { deferred } from './deferred.js'
import { withTimeout } from './patience.js'
import type { Target } from './stream-request.js'

export interface CrowdOptions {
  readers: number
  /** Clients that read nothing but the head; over TCP they come from 127.0.0.2. */
  stuck: number
}

/** What one reader has got by the time its connection is gone. */
export interface Farewell {
  lastData: string | undefined
  retries: number[]
  /** Whether the body came to its proper end. */
  ended: boolean
}

export interface Crowd {
  /** Resolves when the connections of all readers are gone. */
  farewells: Promise<Farewell[]>
}

/** Opens many streams from a process of its own, so that what the server needs can be measured; until the end of the test. */
export async function gatherCrowd(t: Test, target: Target, options: CrowdOptions): Promise<Crowd> {
  const gathered = deferred()
  const farewells = deferred<Farewell[]>()
  const child = fork(fileURLToPath(new URL('crowd-process.js', import.meta.url)), { execArgv: [] })
  const exited = deferred()
  child.on('exit', (code) => {
    exited.resolve()
    const gone = new Error(`the process of the crowd has exited with ${code}`)
    gathered.reject(gone)
    farewells.reject(gone)
  })
  farewells.promise.catch(() => {})
  t.teardown(() => {
    child.kill()
    return exited.promise
  })
  child.on('message', (message: 'gathered' | Farewell[]) => {
    if (message === 'gathered') gathered.resolve()
    else farewells.resolve(message)
  })
  child.send({ target, options })
  await withTimeout(gathered.promise, 'the crowd to gather', 60_000)
  return { farewells: farewells.promise }
}
