import t from 'tap'
import { addressOf, duplicate, receivedBytes } from '../../../lib/backplane/redis/client.js'
import { compareEntryIds, idBefore, parseEntryId } from '../../../lib/backplane/redis/entry-id.js'
import { reasonOf } from '../../../lib/backplane/redis/errors.js'

type Client = Parameters<typeof addressOf>[0]

t.test('the id before an entry is the one right before it', async (t) => {
  t.equal(idBefore(['7', '3']), '7-2')
  t.equal(idBefore(['7', '0']), '6-18446744073709551615')
  t.equal(idBefore(['18446744073709551615', '18446744073709551615']), '18446744073709551615-18446744073709551614')
  t.equal(idBefore(['0', '0']), '0-0')
  t.ok(compareEntryIds(parseEntryId(idBefore(['7', '0']))!, ['7', '0']) < 0)
})

t.test('an address in a message names the servers, and no password', async (t) => {
  const clients: [client: object, address: string][] = [
    [{ options: { host: 'redis', port: 6380 } }, 'redis:6380'],
    [{ options: { path: '/run/redis.sock' } }, '/run/redis.sock'],
    [
      { options: { name: 'main', sentinels: [{ host: 'a', port: 1 }, { host: 'b' }, {}] } },
      'main by a:1, b:6379, 127.0.0.1:6379'
    ],
    [
      { isCluster: true, options: {}, startupNodes: [7000, 'redis://:secret@c:7001', 'd:7002', { port: 7003 }] },
      '127.0.0.1:7000, c:7001, d:7002, 127.0.0.1:7003'
    ],
    [{ isCluster: true, options: {} }, '']
  ]
  for (const [client, address] of clients) t.equal(addressOf(client as Client), address)
})

t.test('received bytes are counted over all connections, also before one is made', async (t) => {
  const nodes = [{ stream: { bytesRead: 3 } }, {}, { stream: { bytesRead: 4 } }]
  t.equal(receivedBytes({ isCluster: true, nodes: () => nodes } as unknown as Client), 7)
  t.equal(receivedBytes({ stream: { bytesRead: 5 } } as unknown as Client), 5)
  t.equal(receivedBytes({} as Client), 0)
})

t.test('the duplicate of a client with sentinels looks up the master', async (t) => {
  const duplicates: unknown[] = []
  const client = (sentinels?: object[]) =>
    ({ options: { sentinels }, duplicate: (options: object) => duplicates.push(options) }) as unknown as Client
  duplicate(client([{ host: 'a' }]))
  duplicate(client())
  t.match(duplicates, [{ enableReadyCheck: true }, { enableReadyCheck: false }])
})

t.test('the message of a server is passed on, with an explanation if there is one', async (t) => {
  t.match(reasonOf(Object.assign(new Error("ERR unknown command 'XINFO'"), { name: 'ReplyError' })), /Redis 6\.2/)
  t.match(reasonOf(new Error('Connection is closed.')), /lost/)
  t.equal(reasonOf(new Error('something else')), 'something else')
})
