import type { Connect, Connection, Row } from './connection.js'

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

/** Opens a folder, and closes it with the connection. */
export function openAt(dataDir: string, load: () => Promise<unknown> = () => import('@electric-sql/pglite')): Connect {
  return async () => {
    const { PGlite } = (await load().catch(explain)) as {
      PGlite: { create(dataDir: string): Promise<PGliteClient & { close(): Promise<void> }> }
    }
    const pglite = await PGlite.create(dataDir)
    return connectionOf(pglite, () => pglite.close())
  }
}

function explain(error: Error & { code?: string }): never {
  if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error
  throw new Error('the package @electric-sql/pglite is not installed (npm install @electric-sql/pglite)', {
    cause: error
  })
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
