import { loadPackage } from '../optional-package.js'
import type { Connect, Connection, Row } from './connection.js'
import { lockFolder } from './folder-lock.js'

/** What is used of a PGlite, Postgres in this process, told by its shape. */
export interface PGliteClient {
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>
  exec(script: string): Promise<unknown>
  listen(channel: string, wake: () => void): Promise<() => Promise<void>>
}

/** Uses a PGlite of the app's, which stays open. */
export function shareOf(pglite: PGliteClient): Connect {
  return async () => connectionOf(pglite, async () => {})
}

/** What the plugin closes. */
interface OwnPGlite extends PGliteClient {
  close(): Promise<void>
}

/** Opens a folder, and closes it with the connection. */
export function openAt(dataDir: string, load = loadPGlite): Connect {
  return async () => {
    const pglite = await open<OwnPGlite>(dataDir, load)
    return connectionOf(pglite, () => pglite.close())
  }
}

/**
 * Opens a PGlite in a folder, for an app that has tables of its own there: give it to `postgres` as `pglite`. A PGlite does not
 * notice by itself that another process has its folder open, and the two would destroy it; this refuses it. `close()` gives
 * the folder free again. Needs the package @electric-sql/pglite.
 *
 * @param dataDir the path of the folder, made where there is none
 * @throws Error where another process of this machine has the folder open
 * @example
 * const pglite = await openPGlite<PGlite>('./data')
 * await app.register(pylonSse, { backplane: postgres({ pglite }) })
 */
export function openPGlite<T extends PGliteClient = OwnPGlite>(dataDir: string): Promise<T> {
  return open<T>(dataDir, loadPGlite)
}

const loadPGlite = (): Promise<unknown> => import('@electric-sql/pglite')

async function open<T>(dataDir: string, load: () => Promise<unknown>): Promise<T> {
  const { PGlite } = (await loadPackage('@electric-sql/pglite', load)) as {
    PGlite: { create(dataDir: string): Promise<OwnPGlite> }
  }
  // A PGlite that is not in a folder: memory://
  const unlock = /^[a-z-]+:\/\//.test(dataDir) ? async () => {} : await lockFolder(dataDir)
  try {
    const pglite = await PGlite.create(dataDir)
    const close = pglite.close.bind(pglite)
    pglite.close = async () => {
      await close()
      await unlock()
    }
    return pglite as T
  } catch (error) {
    await unlock()
    throw error
  }
}

function connectionOf(pglite: PGliteClient, close: () => Promise<void>): Connection {
  let unlisten: (() => Promise<void>) | undefined
  return {
    received: 0,
    async query(text, values = []) {
      return (await pglite.query(text, [...values])).rows as Row[]
    },
    async execute(script) {
      await pglite.exec(script)
    },
    async listen(channel, wake) {
      unlisten = await pglite.listen(channel, wake)
    },
    async end() {
      await unlisten?.()
      await close()
    }
  }
}
