// Connections to PGlite, which is Postgres in this process. The lock of its folder is in folder-lock.ts.

import { loadPackage } from '../engine-setup.js'
import type { Connect, Connection, Row } from './connection.js'
import { lockFolder } from './folder-lock.js'

/** The part of a PGlite that the plugin uses. It is declared by its shape, so that an app need not install its types. */
export interface PGliteClient {
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>
  exec(script: string): Promise<unknown>
  listen(channel: string, wake: () => void): Promise<() => Promise<void>>
}

/** Connects to a PGlite that the app owns. Ending the connection leaves it open. */
export function shareOf(pglite: PGliteClient): Connect {
  return async () => connectionOf(pglite, async () => {})
}

/** A PGlite that the plugin has opened, and closes. */
interface OwnPGlite extends PGliteClient {
  close(): Promise<void>
}

/** Opens a PGlite in a folder. Ending the connection closes it. */
export function openAt(dataDir: string, load = loadPGlite): Connect {
  return async () => {
    const pglite = await open<OwnPGlite>(dataDir, load)
    return connectionOf(pglite, () => pglite.close())
  }
}

/**
 * Opens a PGlite in a folder, for an app that also has its own tables there. Give it to `postgres` as `pglite`. The folder is
 * locked until `close()`, because two processes that open the same folder would destroy the data, and PGlite itself does not
 * prevent that. Needs the package @electric-sql/pglite.
 *
 * @param dataDir the path of the folder, which is created if it does not exist
 * @throws Error if another process on this machine has the folder open, or if the package is not installed
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
  // A PGlite can also be elsewhere than in a folder, such as memory://.
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
