// The peer nchan: a module of nginx, which runs in a process of its own.

import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import { join } from 'node:path'
import { sleep } from '../machine/clock.js'
import { freePort } from '../machine/free-port.js'
import { cpuTime } from '../machine/machine.js'

const NGINX = ['/usr/sbin/nginx', '/usr/local/sbin/nginx', '/usr/bin/nginx']
const MODULE = ['/usr/lib/nginx/modules/ngx_nchan_module.so', '/usr/local/lib/nginx/modules/ngx_nchan_module.so']

/** Why nchan cannot run here; undefined if it can. `NCHAN_MODULE` is the path of the module if it lies elsewhere. */
export function missing() {
  if (find(NGINX) === undefined) return 'nginx is not installed (Debian: nginx)'
  if (modulePath() === undefined) return 'nginx has no nchan (Debian: libnginx-mod-nchan)'
  return undefined
}

/**
 * nginx with nchan and one worker. This process publishes over HTTP, with pipelined requests on one connection. CPU and
 * memory are those of the worker: what publishing costs in this process is not counted.
 */
export async function setup(_app, { history = false }) {
  const port = await freePort()
  const folder = mkdtempSync(join(os.tmpdir(), 'bench-nchan-'))
  mkdirSync(join(folder, 'logs'))
  writeFileSync(join(folder, 'nginx.conf'), config(port, history))
  // One process: its pid is the worker's, and it ends with one signal.
  const nginx = spawn(find(NGINX), ['-p', folder, '-c', 'nginx.conf', '-e', 'logs/error.log'], { stdio: 'ignore' })
  process.once('exit', () => {
    nginx.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  })
  const publisher = await connect(port, nginx, join(folder, 'logs/error.log'))
  return {
    port,
    pids: [nginx.pid],
    publish(data, _n, topic = 'all') {
      const body = JSON.stringify(data)
      publisher.write(
        `POST /publish?topic=${topic} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`
      )
    },
    cpu: () => cpuTime(nginx.pid)
  }
}

function config(port, history) {
  return `load_module ${modulePath()};
daemon off; master_process off; pid nginx.pid;
worker_rlimit_nofile 65536;
events { worker_connections 32768; }
http {
  access_log off;
  keepalive_requests 1000000000;
  nchan_shared_memory_size 512M;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location = /events {
      nchan_subscriber eventsource;
      nchan_channel_id "c$topic_name";
      nchan_subscriber_first_message newest;
      nchan_eventsource_ping_interval 0;
    }
    location = /publish {
      nchan_publisher http;
      nchan_channel_id "c$topic_name";
      nchan_message_buffer_length ${history ? 10_000 : 1024};
    }
  }
  map $arg_topic $topic_name { default $arg_topic; "" all; }
}
`
}

async function connect(port, nginx, log) {
  for (let tries = 0; tries < 100; tries++) {
    if (nginx.exitCode !== null) throw new Error(`nginx ended: ${readFileSync(log, 'utf8').trim()}`)
    const socket = await new Promise((resolve) => {
      const attempt = net.connect(port, '127.0.0.1', () => resolve(attempt))
      attempt.once('error', () => resolve(undefined))
    })
    if (socket !== undefined) {
      socket.setNoDelay(true)
      socket.on('error', () => {})
      return socket.resume()
    }
    await sleep(50)
  }
  throw new Error('nginx does not answer')
}

function modulePath() {
  return process.env.NCHAN_MODULE ?? find(MODULE)
}

function find(paths) {
  return paths.find((path) => existsSync(path))
}
