// What `listen` connects to: an app, or the URL of a server.

import type { AddressInfo, Server } from 'node:net'
import tls from 'node:tls'
import type { FastifyInstance } from 'fastify'
import { InvalidOptionError } from '../../api/errors.js'
import { show } from '../../api/input/error-text.js'

/** The parts of an app that are used. They fit apps with any type of server. */
export interface ListenableApp {
  inject: FastifyInstance['inject']
  listen: FastifyInstance['listen']
  readonly server: Server
  readonly initialConfig: { http2?: boolean }
}

/** Where a server listens, and which protocol it speaks. */
export interface Place {
  host: string
  port?: number
  /** The path of a unix socket, instead of a port. */
  socketPath?: string
  isTls: boolean
  /** Whether it speaks HTTP/2 without TLS. With TLS, ALPN decides. */
  isH2c: boolean
  /** The value of the header `host`. */
  authority: string
  /** The server, if it is in this process. */
  server: Server | undefined
}

export function isApp(target: unknown): target is ListenableApp {
  const { inject, listen } = (target ?? {}) as Partial<ListenableApp>
  return typeof inject === 'function' && typeof listen === 'function'
}

/** Returns where an app listens. An app that does not is made to, until it closes. */
export async function placeOfApp(app: ListenableApp): Promise<Place> {
  if (!app.server.listening) await app.listen({ host: '127.0.0.1', port: 0 })
  const address = app.server.address() as AddressInfo | string
  const place = {
    isTls: app.server instanceof tls.Server,
    isH2c: app.initialConfig.http2 === true,
    server: app.server
  }
  if (typeof address === 'string') return { ...place, host: 'localhost', socketPath: address, authority: 'localhost' }
  // The address of a server that listens on all addresses of the machine.
  const host = address.address.replace(/^(?:::|0\.0\.0\.0)$/, '127.0.0.1')
  const { port } = address
  return { ...place, host, port, authority: `${host.includes(':') ? `[${host}]` : host}:${port}` }
}

export function placeOfUrl({ protocol, hostname, port, host }: URL): Place {
  const isTls = protocol === 'https:'
  return {
    // Without the brackets of an IPv6 address.
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? (isTls ? 443 : 80) : Number(port),
    isTls,
    isH2c: false,
    authority: host,
    server: undefined
  }
}

/** @throws InvalidOptionError if it is neither an app nor the URL of one */
export function urlOf(target: unknown, path: string | undefined): URL {
  const text = target instanceof URL ? target.href : target
  if (typeof text !== 'string' || !URL.canParse(text) || !/^https?:/.test(text)) {
    throw new InvalidOptionError('target', show(target), "a Fastify app, or a URL such as 'http://127.0.0.1:3000'")
  }
  return path === undefined ? new URL(text) : new URL(path, text)
}
