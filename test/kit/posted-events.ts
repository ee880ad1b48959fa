// Events that are posted over HTTP.

import type { Test } from 'tap'
import type { PylonSseOptions } from '../../lib/index.js'
import { type Served, serve } from './server.js'

interface Answer {
  status: number
  body: { ids?: string[]; code?: string; message?: string }
}

interface Post {
  headers?: Record<string, string>
  path?: string
}

/** Posts as curl would. */
export async function post({ url }: Served, body: unknown, { headers, path = '/events' }: Post = {}): Promise<Answer> {
  const response = await fetch(`${url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body)
  })
  const text = await response.text()
  return { status: response.status, body: text === '' ? {} : JSON.parse(text) }
}

/** A server on which everybody may publish, and hear every topic. */
export function servePublic(t: Test, sse: PylonSseOptions = {}): Promise<Served> {
  return serve(t, { sse: { publish: {}, authorizeTopics: () => true, ...sse } })
}
