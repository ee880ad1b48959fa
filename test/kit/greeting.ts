// The first block of a stream, apart from the client's id.

import type { EventReader } from './event-reader.js'

/** What the body of a stream begins with: told from what it says of the client itself. */
export function greetingOf({ signals: [first] }: EventReader, id: string | undefined, retry?: number): string {
  const lines = [
    ': connected',
    ...(retry === undefined ? [] : [`retry: ${retry}`]),
    ...(id === undefined ? [] : [`id: ${id}`]),
    'event: connected',
    `data: ${first?.data}`
  ]
  return `${lines.join('\n')}\n\n`
}
