import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { requireBinary } from './binary.js'
import { freePort } from './redis-server.js'

/**
 * An nginx with a site of the docs, until the end of the test; nothing where there is none on this machine. `ports` are
 * those in place of the site's own. Resolves with the port where it listens, in place of 80.
 */
export async function startNginx(t: Test, site: string, ports: Record<number, number>): Promise<number | undefined> {
  const binary = requireBinary(t, 'nginx')
  if (binary === undefined) return undefined
  const port = await freePort()
  const folder = await mkdtemp(join(tmpdir(), 'pylon-sse-nginx-'))
  const local = site
    .replace('listen 80;', `listen 127.0.0.1:${port};`)
    .replace(/(?<=\s|\/)127\.0\.0\.1:(3\d\d\d)\b/g, (address, from) =>
      ports[from] ? `127.0.0.1:${ports[from]}` : address
    )
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${name};`)
  await writeFile(join(folder, 'site.conf'), local)
  const lines = [
    ...['daemon off;', 'worker_processes 1;', 'pid nginx.pid;', 'error_log stderr;', 'events {}'],
    ...['http {', 'access_log off;', ...paths, 'include site.conf;', '}']
  ]
  await writeFile(join(folder, 'nginx.conf'), `${lines.join('\n')}\n`)
  let output = ''
  const child = spawn(binary, ['-p', folder, '-c', 'nginx.conf'], { stdio: ['ignore', 'ignore', 'pipe'] })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  t.teardown(async () => {
    if (child.exitCode === null) {
      child.kill('SIGTERM')
      await once(child, 'exit')
    }
    await rm(folder, { recursive: true, force: true })
  })
  while (!(await listens(port))) {
    if (child.exitCode !== null) throw new Error(`nginx has ended: ${output}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return port
}

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
