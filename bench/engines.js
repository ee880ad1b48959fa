import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'

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

/** The engines of backplanes, and where their programs are: `path` is none where there is none. */
export function engines() {
  return ENGINES.map((engine) => {
    const path = find(engine.program)
    return { ...engine, path, version: path && versionOf(path) }
  })
}

/** Starts an engine with an empty folder, as it is set by itself, but that it keeps what it has on disk. */
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
  // Debian has servers where the PATH of users does not lead.
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

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}
