// Starts nginx.

import type { Test } from 'tap'
import { requireBinary } from './binary.js'
import { startDaemon } from './daemon.js'
import { freePort } from './redis-server.js'

/**
 * An nginx with a site of the docs, until the end of the test; nothing where there is none on this machine. `ports` are
 * those in place of the site's own. Resolves with the port where it listens, in place of 80.
 */
export async function startNginx(t: Test, site: string, ports: Record<number, number>): Promise<number | undefined> {
  const binary = requireBinary(t, 'nginx')
  if (binary === undefined) return undefined
  const port = await freePort()
  const local = site
    .replace('listen 80;', `listen 127.0.0.1:${port};`)
    .replace(/(?<=\s|\/)127\.0\.0\.1:(3\d\d\d)\b/g, (address, from) =>
      ports[from] ? `127.0.0.1:${ports[from]}` : address
    )
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${name};`)
  const lines = [
    ...['daemon off;', 'worker_processes 1;', 'pid nginx.pid;', 'error_log stderr;', 'events {}'],
    ...['http {', 'access_log off;', ...paths, 'include site.conf;', '}']
  ]
  await startDaemon(t, binary, {
    port,
    files: { 'site.conf': local, 'nginx.conf': `${lines.join('\n')}\n` },
    args: (folder) => ['-p', folder, '-c', 'nginx.conf']
  })
  return port
}
