// Starts the proxies that docs/deployment.md has configurations for.

import type { Test } from 'tap'
import { findBinary, requireBinary } from './binary.js'
import { startDaemon } from './daemon.js'
import { readExample } from './example.js'
import { startNginx } from './nginx.js'
import { freePort } from './redis-server.js'

interface Proxy {
  /** Its program, and where Debian has it for those whose PATH has no folder of root's. */
  binary: string
  path?: string
  /** Of docs/examples/proxies. */
  file: string
  /** What a test writes around the file, so that it runs beside others and leaves nothing behind. */
  around?(config: string, port: number): string
  args(file: string, folder: string, port: number): string[]
  env?(folder: string): Record<string, string>
}

const PROXIES = {
  haproxy: {
    binary: 'haproxy',
    path: '/usr/sbin/haproxy',
    file: 'haproxy.cfg',
    // As many descriptors as a test may have.
    around: (config) => config.replaceAll('maxconn 200000', 'maxconn 1000'),
    args: (file) => ['-db', '-f', file]
  },
  apache: {
    binary: 'apache2',
    path: '/usr/sbin/apache2',
    file: 'apache.conf',
    around: (config, port) =>
      [
        ...['mpm_event', 'authz_core', 'proxy', 'proxy_http'].map(
          (name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`
        ),
        ...[`Listen 127.0.0.1:${port}`, 'ServerName localhost', 'PidFile apache.pid', 'ErrorLog apache.log'],
        ...(process.getuid?.() === 0 ? ['User www-data', 'Group www-data'] : []),
        config
      ].join('\n'),
    args: (file, folder) => ['-X', '-d', folder, '-f', file]
  },
  varnish: {
    binary: 'varnishd',
    path: '/usr/sbin/varnishd',
    file: 'varnish.vcl',
    args: (file, folder, port) => [
      '-j',
      'none',
      '-F',
      '-n',
      `${folder}/work`,
      '-a',
      `127.0.0.1:${port}`,
      '-f',
      file,
      '-s',
      'malloc,16m'
    ]
  },
  caddy: {
    binary: 'caddy',
    file: 'Caddyfile',
    around: (config) => `{\n\tadmin off\n\tdefault_bind 127.0.0.1\n}\n${config}`,
    args: (file) => ['run', '--adapter', 'caddyfile', '--config', file],
    env: (folder) => ({ HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder })
  },
  squid: {
    binary: 'squid',
    path: '/usr/sbin/squid',
    file: 'squid.conf',
    around: (config) =>
      `${config}\npid_filename none\naccess_log none\ncache_log stdio:/dev/stderr\nnetdb_filename none\nshutdown_lifetime 0 seconds\n`,
    args: (file) => ['-N', '-f', file]
  }
} satisfies Record<string, Proxy>

export type ProxyName = 'nginx' | keyof typeof PROXIES

/** Those that every machine needs which runs all tests; the others are tried by hand, where they are installed. */
const NEEDED: readonly ProxyName[] = ['nginx', 'haproxy']
const ALL: readonly ProxyName[] = ['nginx', ...(Object.keys(PROXIES) as (keyof typeof PROXIES)[])]

/** The proxies to try on this machine. */
export const PROXY_NAMES = ALL.filter((name) => NEEDED.includes(name) || binaryOf(name) !== undefined)

/**
 * A proxy with its configuration of docs/examples/proxies, before one app, until the end of the test. Resolves with the
 * port where it listens in place of 80; with nothing where this machine has no such proxy.
 */
export async function startProxy(t: Test, name: ProxyName, app: number): Promise<number | undefined> {
  if (name === 'nginx') return startNginx(t, await readExample('proxies/nginx.conf'), { 3000: app })
  const proxy: Proxy = PROXIES[name]
  const binary = requireBinary(t, proxy.binary, binaryOf(name))
  if (binary === undefined) return undefined
  const port = await freePort()
  const local = (await readExample(`proxies/${proxy.file}`))
    .replace(/^:80\b/m, `:${port}`)
    .replace(/(?<=bind )[*]?:80\b|[*]:80\b/, `127.0.0.1:${port}`)
    .replace(/http_port 80\b/, `http_port 127.0.0.1:${port}`)
    .replace(/\b3000\b|(?<=:)300[123]\b/g, `${app}`)
  await startDaemon(t, binary, {
    port,
    files: { [proxy.file]: proxy.around?.(local, port) ?? local },
    args: (folder) => proxy.args(`${folder}/${proxy.file}`, folder, port),
    ...(proxy.env && { env: proxy.env })
  })
  return port
}

function binaryOf(name: ProxyName): string | undefined {
  if (name === 'nginx') return findBinary('nginx')
  const { binary, path }: Proxy = PROXIES[name]
  return findBinary(binary) ?? (path === undefined ? undefined : findBinary(path))
}
