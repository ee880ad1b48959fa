// A certificate for servers with TLS.

import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { findBinary } from './binary.js'

export interface Certificate {
  key: string
  /** Self-signed, so it is its own authority: a client trusts it as `ca`. */
  cert: string
}

let made: Promise<Certificate> | undefined

/** A certificate for localhost and 127.0.0.1, made once a process: a private key has no place in a repository. */
export function certificate(): Promise<Certificate> {
  made ??= make()
  return made
}

async function make(): Promise<Certificate> {
  if (!findBinary('openssl'))
    throw new Error("openssl is needed for TLS and is not in PATH: requireBinary(t, 'openssl')")
  const folder = await mkdtemp(join(tmpdir(), 'pylon-sse-tls-'))
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  try {
    await promisify(execFile)('openssl', [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
      ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'],
      ...['-keyout', key, '-out', cert]
    ])
    return { key: await readFile(key, 'utf8'), cert: await readFile(cert, 'utf8') }
  } finally {
    await rm(folder, { recursive: true })
  }
}
