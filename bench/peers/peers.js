import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { missing } from './nchan.js'

/** This plugin: what the others are compared with. */
export const OWN = 'pylon-sse'
/** The one that comes closest in what it does. */
export const RIVAL = 'better-sse'
/** None, but the least that any could cost. */
export const LEAST = 'socket-write'

/** Those that can run here, with their versions, and why the others cannot. */
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
  // It says so on stderr.
  return (
    /nginx\/(\S+)/.exec(execFileSync('/bin/sh', ['-c', '/usr/sbin/nginx -v 2>&1'], { encoding: 'utf8' }))?.[1] ?? ''
  )
}
