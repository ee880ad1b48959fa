// The lock that keeps a second process from opening the folder of a PGlite.

import { createHash } from 'node:crypto'
import { mkdir, realpath, unlink } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * Locks a folder, which is created if necessary, for this process. The lock is a listening socket, since the system closes it
 * however the process ends. A file with the process id would be left behind by `kill -9`, and another process may get the same id.
 *
 * @returns a function that unlocks the folder
 * @throws Error if another process on this machine has locked the folder
 */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  await mkdir(folder, { recursive: true })
  const name = `pylon-sse-${createHash('sha256')
    .update(await realpath(folder))
    .digest('hex')
    .slice(0, 24)}`
  /* c8 ignore next: one of the two branches is for another system */
  const path = process.platform === 'win32' ? `\\\\.\\pipe\\${name}` : join(tmpdir(), `${name}.lock`)
  const server = (await listen(path)) ?? (await takeOver(path))
  if (server === undefined) throw new Error(`the folder ${folder} is in use: only one process may have it open`)
  return () => new Promise((resolve) => server.close(() => resolve()))
}

/** @returns `undefined` if a socket file exists there, whether or not a process still listens on it */
function listen(path: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined)
      else reject(error)
    })
    // Without `exclusive`, the workers of a cluster would share the socket.
    server.listen({ path, exclusive: true }, () => resolve(server))
    server.unref()
  })
}

/** Replaces a socket file that a dead process has left. @returns `undefined` if a process listens on it */
async function takeOver(path: string): Promise<Server | undefined> {
  const isAlive = await new Promise<boolean>((resolve) => {
    const socket = connect(path, () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
    socket.unref()
  })
  if (isAlive) return undefined
  await unlink(path).catch(() => {})
  return listen(path)
}
