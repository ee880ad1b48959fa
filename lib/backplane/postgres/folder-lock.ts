import { createHash } from 'node:crypto'
import { mkdir, realpath, unlink } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * Keeps a folder for this process, by a socket that ends with it, however that happens. A file with its number would be left
 * behind by `kill -9`, and the number may be that of another process then.
 *
 * @returns gives the folder free again
 * @throws Error where another process of this machine has it
 */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  await mkdir(folder, { recursive: true })
  const name = `pylon-sse-${createHash('sha256')
    .update(await realpath(folder))
    .digest('hex')
    .slice(0, 24)}`
  /* c8 ignore next: one of the two is for another system */
  const path = process.platform === 'win32' ? `\\\\.\\pipe\\${name}` : join(tmpdir(), `${name}.lock`)
  const server = (await listen(path)) ?? (await takeOver(path))
  if (server === undefined) throw new Error(`the folder ${folder} is in use: only one process may have it open`)
  return () => new Promise((resolve) => server.close(() => resolve()))
}

/** Nothing where somebody listens there, or has. */
function listen(path: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined)
      else reject(error)
    })
    // Without `exclusive` the workers of a cluster would share it.
    server.listen({ path, exclusive: true }, () => resolve(server))
    server.unref()
  })
}

/** Nothing where somebody listens there. */
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
