// Starts PgBouncer.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chown, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { findBinary, requireBinary } from './binary.js'
import { withTimeout } from './patience.js'
import type { PostgresServer } from './postgres-server.js'
import { freePort } from './redis-server.js'

/** Debian installs it where the PATH of users does not lead. */
const DEBIAN = '/usr/sbin/pgbouncer'

/** A PgBouncer in transaction mode in front of a server, until the end of the test. @returns its port */
export async function startPgBouncer(t: Test, server: PostgresServer): Promise<number | undefined> {
  const binary = requireBinary(t, 'pgbouncer', findBinary('pgbouncer') ?? DEBIAN)
  if (binary === undefined) return undefined
  const port = await freePort()
  const users = join(server.folder, 'pgbouncer.users')
  const config = join(server.folder, 'pgbouncer.ini')
  await writeFile(users, '"postgres" ""\n')
  await writeFile(
    config,
    [
      '[databases]',
      `* = host=127.0.0.1 port=${server.port}`,
      '[pgbouncer]',
      'listen_addr = 127.0.0.1',
      `listen_port = ${port}`,
      'unix_socket_dir =',
      'auth_type = trust',
      `auth_file = ${users}`,
      'pool_mode = transaction',
      // Fewer than there are clients, so that each of these gets another connection now and then.
      'default_pool_size = 2',
      // It would wait for 15 s after it has met a server that is restarting.
      'server_login_retry = 1'
    ].join('\n')
  )
  const user = await server.user()
  if (user.uid !== undefined) for (const file of [users, config]) await chown(file, user.uid, user.gid!)
  const child = spawn(binary, [config], { ...user, cwd: server.folder, stdio: ['ignore', 'pipe', 'pipe'] })
  const gone = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await gone
  })
  let output = ''
  const ready = new Promise<void>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (bytes) => {
        output += bytes
        if (output.includes('process up')) resolve()
      })
    child.once('exit', (code) => reject(new Error(`pgbouncer has ended with ${code}: ${output}`)))
  })
  await withTimeout(ready, 'pgbouncer')
  return port
}
