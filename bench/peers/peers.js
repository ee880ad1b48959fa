// The libraries and programs that the benchmark compares. Each has a file here with its `setup`.

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { missing } from './nchan.js'

/** This plugin, which the other peers are compared with. */
export const OWN = 'pylon-sse'
/** The library whose features are closest to this plugin's. */
export const RIVAL = 'better-sse'
/** No library, but the lower bound of what any of them can cost. */
export const LEAST = 'socket-write'

/** The peers that can run on this machine, with their versions, and why the others cannot. */
export function availablePeers() {
  const peers = [
    { name: OWN, version: version('../../package.json') },
    { name: RIVAL, version: version('../../node_modules/better-sse/package.json') },
    { name: 'fastify-sse', title: '@fastify/sse', version: version('../../node_modules/@fastify/sse/package.json') },
    { name: 'res-write', title: 'res.write loop', version: process.version },
    { name: LEAST, title: 'socket.write alone', version: process.version }
  ]
  const why = missing()
  if (why === undefined) peers.push({ name: 'nchan', title: 'nginx + nchan', version: nginxVersion() })
  return { peers, missing: why === undefined ? [] : [`nchan is left out: ${why}`] }
}

function version(path) {
  return JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')).version
}

function nginxVersion() {
  // nginx prints its version to stderr.
  return (
    /nginx\/(\S+)/.exec(execFileSync('/bin/sh', ['-c', '/usr/sbin/nginx -v 2>&1'], { encoding: 'utf8' }))?.[1] ?? ''
  )
}
