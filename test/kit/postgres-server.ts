// Starts a Postgres server.

import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import pg from 'pg'
import type { Test } from 'tap'
import { findBinary, requireBinary } from './binary.js'
import { withTimeout } from './patience.js'
import { freePort } from './redis-server.js'
import { freeze, signalAll } from './signals.js'

const run = promisify(execFile)

/** Debian keeps the programs of each version in a folder that is not in PATH, and one in PATH that runs them. */
const DEBIAN = '/usr/lib/postgresql'
const DEBIAN_PROGRAM = 'pg_ctlcluster'
/** Attempts to start a server whose processes of its last life are yet to end. */
const STARTS = 100

export interface PostgresServerOptions {
  /** Lines of postgresql.conf. */
  config?: string[]
  /** Lines of pg_hba.conf. Default: all may do anything. */
  access?: string[]
  tls?: { key: string; cert: string }
  /** Where another server is whose standby it is. */
  primary?: number
}

/** A server until the end of the test; nothing where there is none on this machine. */
export async function startPostgres(t: Test, options: PostgresServerOptions = {}): Promise<PostgresServer | undefined> {
  const binary = requireBinary(t, 'postgres', await pathOf('postgres'))
  if (binary === undefined) return undefined
  const folder = await mkdtemp(join(tmpdir(), 'pylon-sse-postgres-'))
  const server = new PostgresServer(folder, await freePort(), options)
  t.teardown(async () => {
    await server.stop()
    await rm(folder, { recursive: true, force: true })
  })
  await server.create()
  await server.start()
  return server
}

/** Where a program of Postgres is; its bare name, where it is in PATH or nowhere. */
export async function pathOf(program: string): Promise<string> {
  if (findBinary(program) !== undefined || findBinary(DEBIAN_PROGRAM) === undefined) return program
  const versions = await readdir(DEBIAN).catch((): string[] => [])
  const paths = versions.sort((a, b) => Number(b) - Number(a)).map((version) => join(DEBIAN, version, 'bin', program))
  return paths.find((path) => findBinary(path) !== undefined) ?? program
}

/** A server that a test owns. It refuses to run as root: then it runs as a user without rights. */
export class PostgresServer {
  readonly folder: string
  readonly port: number
  readonly #options: PostgresServerOptions
  #process: ChildProcess | undefined
  #output = ''
  #admin: pg.Pool | undefined

  constructor(folder: string, port: number, options: PostgresServerOptions) {
    this.folder = folder
    this.port = port
    this.#options = options
  }

  /** The address of a database, as the superuser. */
  urlOf(database = 'postgres', user = 'postgres', port = this.port): string {
    return `postgres://${user}@127.0.0.1:${port}/${database}`
  }

  get url(): string {
    return this.urlOf()
  }

  /** Connections of the test's own, which the plugin knows nothing of. */
  get admin(): pg.Pool {
    this.#admin ??= new pg.Pool({ connectionString: this.url, application_name: 'test', allowExitOnIdle: true }).on(
      'error',
      () => {}
    )
    return this.#admin
  }

  get data(): string {
    return join(this.folder, 'data')
  }

  async create(): Promise<void> {
    const {
      config = [],
      access = ['local all all trust', 'host all all 127.0.0.1/32 trust', 'host replication all 127.0.0.1/32 trust'],
      primary,
      tls
    } = this.#options
    const user = await this.user()
    await mkdir(this.folder, { recursive: true })
    await chmod(this.folder, 0o755)
    if (user.uid !== undefined) await chown(this.folder, user.uid, user.gid!)
    if (primary === undefined) {
      const args = ['-D', this.data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-locale', '--no-sync']
      await run(await pathOf('initdb'), args, { ...user, cwd: this.folder })
    } else {
      const args = ['-D', this.data, '-h', '127.0.0.1', '-p', String(primary), '-U', 'postgres', '-R', '-X', 'stream']
      await run(await pathOf('pg_basebackup'), [...args, '--no-sync', '-c', 'fast'], { ...user, cwd: this.folder })
    }
    const lines = [
      `port = ${this.port}`,
      "listen_addresses = '127.0.0.1'",
      `unix_socket_directories = '${this.folder}'`,
      'fsync = off',
      'shared_buffers = 32MB',
      'max_connections = 100',
      'log_min_messages = warning',
      ...config
    ]
    await writeFile(join(this.data, 'postgresql.conf'), `${lines.join('\n')}\n`)
    if (tls !== undefined) {
      for (const [name, text] of [
        ['server.key', tls.key],
        ['server.crt', tls.cert]
      ] as const) {
        const file = join(this.data, name)
        await writeFile(file, text, { mode: 0o600 })
        if (user.uid !== undefined) await chown(file, user.uid, user.gid!)
      }
    }
    await writeFile(join(this.data, 'pg_hba.conf'), `${access.join('\n')}\n`)
  }

  /** Resolves when it takes commands. */
  async start(): Promise<void> {
    for (let i = 1; ; i++) {
      try {
        await this.#start()
        return
      } catch (error) {
        // Processes of its last life may be there still.
        if (i === STARTS || !/lock file|shared memory|in use/.test(this.#output)) throw error
        await sleep(50)
      }
    }
  }

  async #start(): Promise<void> {
    const user = await this.user()
    const child = spawn(await pathOf('postgres'), ['-D', this.data], {
      ...user,
      cwd: this.folder,
      stdio: ['ignore', 'pipe', 'pipe']
    })
    this.#process = child
    this.#output = ''
    const ready = new Promise<void>((resolve, reject) => {
      const read = (bytes: Buffer) => {
        this.#output += bytes
        if (/ready to accept (read-only )?connections/.test(this.#output)) resolve()
      }
      child.stdout!.on('data', read)
      child.stderr!.on('data', read)
      child.once('error', reject)
      child.once('exit', (code) => reject(new Error(`postgres has ended with ${code}: ${this.#output}`)))
    })
    await withTimeout(ready, 'postgres')
  }

  /** Starts it, where a test has left it killed or frozen. */
  async recover(): Promise<void> {
    if (this.#process === undefined) await this.start()
    else this.thaw()
  }

  /** As when the machine loses its power, but for what its kernel had yet to write. */
  async kill9(): Promise<void> {
    await this.#signal('SIGKILL')
  }

  /** It keeps its connections, and answers nothing. */
  freeze(): void {
    freeze(this.pids())
  }

  thaw(): void {
    signalAll(this.pids(), 'SIGCONT')
  }

  async stop(): Promise<void> {
    await this.#admin?.end()
    this.#admin = undefined
    await this.#signal('SIGKILL')
  }

  /** As an administrator does. */
  async restart(): Promise<void> {
    await this.#signal('SIGINT')
    await this.start()
  }

  /** Names of the connections that clients have to it. */
  async connectionNames(): Promise<string[]> {
    const { rows } = await this.admin.query<{ name: string }>(
      `select application_name as name from pg_stat_activity where backend_type = 'client backend'`
    )
    return rows.map(({ name }) => name)
  }

  async #signal(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process
    this.#process = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    const pids = signal === 'SIGKILL' ? this.pids(child) : [child.pid!]
    signalAll(pids, signal)
    await withTimeout(gone, 'the end of postgres')
  }

  /** Its own, and those of the processes that it has for its connections. */
  pids({ pid }: { pid?: number | undefined } = this.#process!): number[] {
    const stdout = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' })
    const processes = stdout
      .trim()
      .split('\n')
      .map((line) => line.trim().split(/\s+/).map(Number))
    return [pid!, ...processes.filter(([, parent]) => parent === pid).map(([child]) => child!)]
  }

  /** Whom its programs run as. */
  async user(): Promise<{ uid?: number; gid?: number }> {
    if (process.getuid?.() !== 0) return {}
    const idOf = async (option: string) => {
      const { stdout } = await run('id', [option, 'postgres']).catch(() => run('id', [option, 'nobody']))
      return Number(stdout)
    }
    return { uid: await idOf('-u'), gid: await idOf('-g') }
  }
}
