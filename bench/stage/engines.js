// Starts and stops Redis, NATS and Postgres for the benchmarks of backplanes.

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, chmodSync, chownSync, constants, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { freePort } from '../machine/free-port.js'
import { childrenOf } from '../machine/machine.js'
import { stopOnSignal } from './signals.js'

const ENGINES = [
  {
    name: 'redis',
    title: 'Redis Streams',
    program: 'redis-server',
    args: (port, folder) => [
      '--port',
      port,
      '--bind',
      '127.0.0.1',
      '--dir',
      folder,
      '--save',
      '',
      '--appendonly',
      'yes'
    ],
    isReady: /Ready to accept connections/,
    url: (port) => `redis://127.0.0.1:${port}`
  },
  {
    name: 'nats',
    title: 'NATS JetStream',
    program: 'nats-server',
    args: (port, folder) => ['-a', '127.0.0.1', '-p', port, '-js', '-sd', folder],
    isReady: /Server is ready/,
    url: (port) => `nats://127.0.0.1:${port}`
  },
  {
    name: 'postgres',
    title: 'Postgres',
    program: 'postgres',
    prepare: (path, folder, user) =>
      execFileSync(join(dirname(path), 'initdb'), ['-D', folder, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8'], {
        ...user,
        cwd: folder
      }),
    args: (port, folder) => ['-D', folder, '-p', port, '-h', '127.0.0.1', '-k', folder],
    isReady: /ready to accept connections/,
    url: (port) => `postgres://postgres@127.0.0.1:${port}/postgres`
  }
]

/** The engines that a backplane can use. `path` is undefined if the program is not installed. */
export function engines() {
  return ENGINES.map((engine) => {
    const path = find(engine.program)
    return { ...engine, path, version: path && versionOf(path) }
  })
}

/**
 * Starts an engine on an empty folder, with its default settings, except that it persists its data. A signal that ends the
 * benchmark stops it, too.
 */
export async function startEngine({ path, prepare, args, isReady, url }) {
  const user = prepare === undefined ? {} : userOf(path)
  const folder = mkdtempSync(join(tmpdir(), 'pylon-sse-bench-'))
  if (user.uid !== undefined) chownSync(folder, user.uid, user.gid)
  chmodSync(folder, 0o700)
  prepare?.(path, folder, user)
  const port = await freePort()
  const options = { ...user, cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] }
  const child = spawn(path, args(String(port), folder), options)
  const gone = once(child, 'exit')
  const stop = async () => {
    // Postgres ends its processes on SIGQUIT.
    child.kill(prepare === undefined ? 'SIGKILL' : 'SIGQUIT')
    await gone
    rmSync(folder, { recursive: true, force: true })
  }
  const forget = stopOnSignal(stop)
  await new Promise((resolve, reject) => {
    let output = ''
    const read = (bytes) => {
      output += bytes
      if (isReady.test(output)) resolve()
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    child.once('exit', () => reject(new Error(`${path} has ended: ${output}`)))
  })
  return {
    url: url(port),
    /** Postgres has a process for each connection. */
    pids: () => [child.pid, ...childrenOf(child.pid)],
    async stop() {
      forget()
      await stop()
    }
  }
}

/** Postgres refuses to run as root. */
function userOf(path) {
  if (process.getuid?.() !== 0) return {}
  const idOf = (option) => {
    for (const name of ['postgres', 'nobody']) {
      try {
        return Number(execFileSync('id', [option, name], { encoding: 'utf8' }))
      } catch {}
    }
    throw new Error(`there is no user to run ${path} as`)
  }
  return { uid: idOf('-u'), gid: idOf('-g') }
}

function find(program) {
  // Debian installs servers in /usr/sbin, which is not in the PATH of users, and Postgres in a folder for each version.
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', ...postgresFolders()]
  return folders.map((folder) => join(folder, program)).find(isExecutable)
}

function postgresFolders() {
  const root = '/usr/lib/postgresql'
  try {
    const versions = readdirSync(root).sort((a, b) => Number(b) - Number(a))
    return versions.map((version) => join(root, version, 'bin'))
  } catch {
    return []
  }
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

function versionOf(path) {
  return /\d+\.\d+(\.\d+)?/.exec(execFileSync(path, ['--version'], { encoding: 'utf8' }))?.[0] ?? ''
}
