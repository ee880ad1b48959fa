// Entries of an engine that this package has not written.

import { headers, type MsgHdrs } from '@nats-io/transport-node'

/** An entry as an engine keeps it: three texts. */
export interface StoredEntry {
  messageId: string
  labels: string
  body: string
}

const BODY = 'data: 1\n\n'
let count = 0

/** What an entry of the format has, but for this. */
function entry(part: Partial<StoredEntry>): StoredEntry {
  return { messageId: `stranger:${++count}`, labels: '{}', body: BODY, ...part }
}

/** Entries of which none is of the format, each for one reason. */
export function foreignEntries(): StoredEntry[] {
  const labels = [
    '',
    'x',
    '{',
    'null',
    '7',
    '"event"',
    '[]',
    '{"v":2}',
    '{"v":"1"}',
    '{"v":null}',
    '{"kind":"later"}',
    '{"kind":null}',
    '{"kind":7}',
    '{"kind":"__proto__"}',
    '{"kind":"disconnect"}',
    '{"id":7}',
    '{"id":null}',
    '{"id":" "}',
    '{"id":"a\\nb"}',
    '{"id":"stay-away"}',
    '{"topic":7}',
    '{"topic":""}',
    '{"topic":"a.*"}',
    '{"topic":["a"]}',
    '{"except":7}',
    '{"isText":"yes"}',
    '{"attempt":0}',
    '{"attempt":"1"}',
    '{"kind":"loss"}',
    '{"kind":"disconnect","attempt":-1}',
    '{"request":null}',
    '{"request":{"key":"k"}}',
    '{"request":{"key":"k","digest":"d","index":0,"count":4294967296}}',
    '{"request":{"key":"k","digest":"d","index":2,"count":2}}',
    '{"request":{"key":7,"digest":"d","index":0,"count":1}}'
  ]
  const bodies = [
    '',
    '\n\n',
    'data: 1',
    'data: 1\n',
    'data:1\n\n',
    'data: 1\n\n\n',
    'data: 1\n\ndata: 2\n\n',
    'data: 1\nid: 7\n\n',
    'data: 1\r\n\r\n',
    'data: 1\rid: 7\n\n',
    'id: 7\ndata: 1\n\n',
    'retry: 0\ndata: 1\n\n',
    ': a comment\n\n',
    'event: x\n\n',
    'event: \ndata: 1\n\n',
    'event: connected\ndata: 1\n\n',
    'event: a\0b\ndata: 1\n\n',
    'event: a\nevent: b\ndata: 1\n\n',
    '\ufeffdata: 1\n\n'
  ]
  const messageIds = ['', 'x', ':1', 'p:', 'p:0', 'p:01', 'p:-1', 'p:x', 'p:9007199254740993', 'a\nb:1', '7']
  const selectors = [
    '',
    'null',
    '7',
    '{}',
    '{"selector":null}',
    '{"selector":{}}',
    '{"selector":[]}',
    '{"selector":"all"}',
    '{"selector":{"role":"x"}}',
    '{"selector":{"id":7}}',
    '{"selector":{"id":"x","role":"y"}}',
    '{"selector":{"topic":""}}',
    '{"selector":{"state":{}}}',
    '{"selector":{"state":{"user":{}}}}',
    '{"selector":{"id":"x"},"options":null}',
    '{"selector":{"id":"x"},"options":{"reconnect":"no"}}'
  ]
  const reports = ['', 'null', '7', '{}', '{"silence":-1}', '{"silence":"0"}', '{"silence":0,"after":7}']
  return [
    ...reports.map((body) => entry({ labels: '{"kind":"loss"}', body })),
    ...labels.map((labels) => entry({ labels })),
    ...bodies.map((body) => entry({ body })),
    ...messageIds.map((messageId) => entry({ messageId })),
    ...selectors.map((body) => entry({ labels: '{"kind":"disconnect"}', body }))
  ]
}

/** The same as fields of an entry of Redis, and others that are not even that. */
export function foreignFields(): string[][] {
  return [
    ['temperature', '20'],
    ['m', 'stranger:1', 'l', '{}'],
    ['m', 'stranger:1', 'b', BODY],
    ['l', '{}', 'b', BODY],
    ['', ''],
    ...foreignEntries().map(({ messageId, labels, body }) => ['m', messageId, 'l', labels, 'b', body])
  ]
}

/** The same as messages of NATS, and others that are not even that. */
export function foreignMessages(): Buffer[] {
  const texts = ['', 'x', '{"a":1}', 'pylon-sse 1 ', 'pylon-sse 1 []', 'pylon-sse 1 7\n', 'pylon-sse 2 []\n']
  const heads = ['[null]', '[7]', '[["stranger:1"]]', '[["stranger:1","{}",9e9]]', '[["stranger:1",null,9]]']
  return [
    ...texts.map((text) => Buffer.from(text)),
    ...heads.map((head) => Buffer.from(`pylon-sse 1 ${head}\n${BODY}`)),
    ...foreignEntries().map((each) => messageOf([each])),
    messageOf(foreignEntries())
  ]
}

/** A message of NATS with these entries. */
export function messageOf(entries: readonly StoredEntry[]): Buffer {
  const heads = entries.map(({ messageId, labels, body }) => [messageId, labels, Buffer.byteLength(body)])
  return Buffer.from(`pylon-sse 1 ${JSON.stringify(heads)}\n${entries.map(({ body }) => body).join('')}`)
}

/** Headers as the server's own words have them, which anybody may publish. */
export function statusHeaders(): MsgHdrs {
  return headers(503, 'No Responders')
}
