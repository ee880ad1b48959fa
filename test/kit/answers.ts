// Answers that are no stream: their fields and their bodies.

import type { EventReader } from './event-reader.js'
import type { Served } from './server.js'

/** What a request is answered, once the answer is whole and the connection is closed. */
export async function answerOf(s: Served, request: Parameters<Served['connect']>[0] = {}) {
  const client = await s.connect(request)
  await client.waitForEnd()
  await client.close()
  return client
}

/** The JSON of an answer, once it is whole. */
export async function bodyOf<Body = Record<string, unknown>>(reader: EventReader): Promise<Body> {
  await reader.waitForEnd()
  return JSON.parse(reader.body) as Body
}

/** The header fields of an answer. Throws if a field came twice. */
export function fieldsOf({ rawHeaders }: EventReader): Record<string, string> {
  const names = rawHeaders.map(([name]) => name.toLowerCase())
  if (new Set(names).size < names.length) throw new Error(`fields came twice: ${names}`)
  return Object.fromEntries(rawHeaders.map(([name, value]) => [name.toLowerCase(), value]))
}
