// A disk that runs full.

import { execFile } from 'node:child_process'
import { chown, mkdir, mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Test } from 'tap'
import type { PostgresServer } from './postgres-server.js'

const run = promisify(execFile)
/** More than a segment of the WAL has, which must not fail; not a whole number of pages, so that Postgres takes it for a full disk. */
const LARGEST_FILE = 17 * 2 ** 20 + 4096
/** From here on Postgres tells a file that may not grow from a full disk. */
const TELLS_APART = 160_000

/**
 * Has a table on a disk that is soon full: a small tmpfs, or where none may be mounted, a limit on the size of files.
 *
 * @returns makes room; nothing where neither can be had, which is a failure with `CI=true`
 */
export async function fillSoon(
  t: Test,
  server: PostgresServer,
  table: string
): Promise<(() => Promise<void>) | undefined> {
  const folder = await mkdtemp(join(tmpdir(), 'pylon-sse-disk-'))
  const sudo = process.getuid?.() === 0 ? [] : ['sudo', '-n']
  const asRoot = (...command: string[]) => {
    const [program, ...args] = [...sudo, ...command]
    return run(program!, args)
  }
  const isMounted = await asRoot('mount', '-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', folder).then(
    () => true,
    () => false
  )
  if (isMounted) {
    const space = join(folder, 'space')
    const { uid, gid } = await stat(server.data)
    await mkdir(space, { mode: 0o700 })
    await chown(space, uid, gid)
    await server.admin.query(`create tablespace small location '${space}'`)
    await server.admin.query(`alter table ${table} set tablespace small`)
    t.teardown(async () => {
      await server.admin.query(`drop table ${table} cascade`)
      await server.admin.query('drop tablespace small')
      // Processes of the server may have a file of it open for a while.
      await asRoot('umount', '--lazy', folder)
      await rm(folder, { recursive: true })
    })
    return async () => {
      await asRoot('mount', '-o', 'remount,size=32m', folder)
    }
  }
  await rm(folder, { recursive: true })
  const { rows } = await server.admin.query('show server_version_num')
  // As the server's own user: root may not have the right.
  const user = await server.user()
  const limit = async (bytes: number | 'unlimited') => {
    for (const pid of server.pids()) await run('prlimit', ['--pid', String(pid), `--fsize=${bytes}:`], user)
  }
  if (Number(rows[0].server_version_num) < TELLS_APART) {
    t.teardown(() => limit('unlimited'))
    await limit(LARGEST_FILE)
    return () => limit('unlimited')
  }
  const message = 'a small disk takes the right to mount a tmpfs, or Postgres 15'
  if (process.env.CI === 'true') t.fail(message)
  else t.pass('a small disk', { skip: message })
  return undefined
}
