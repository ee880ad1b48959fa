// Starts and stops Redis and NATS for the benchmark of backplanes.

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { freePort } from '../machine/free-port.js'

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
  }
]

/** The engines that a backplane can use. `path` is undefined if the program is not installed. */
export function engines() {
  return ENGINES.map((engine) => {
    const path = find(engine.program)
    return { ...engine, path, version: path && versionOf(path) }
  })
}

/** Starts an engine on an empty folder, with its default settings, except that it persists its data. */
export async function startEngine({ path, args, isReady, url }) {
  const folder = mkdtempSync(join(tmpdir(), 'pylon-sse-bench-'))
  const port = await freePort()
  const child = spawn(path, args(String(port), folder), { stdio: ['ignore', 'pipe', 'pipe'] })
  const gone = once(child, 'exit')
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
    pid: child.pid,
    async stop() {
      child.kill('SIGKILL')
      await gone
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

function find(program) {
  // Debian installs servers in /usr/sbin, which is not in the PATH of users.
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin']
  return folders.map((folder) => join(folder, program)).find(isExecutable)
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
  return /\d+\.\d+\.\d+/.exec(execFileSync(path, ['--version'], { encoding: 'utf8' }))?.[0] ?? ''
}
