import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'
import { redisStreams } from '../../lib/backplane/redis/redis-streams.js'
import { requireBinary } from '../kit/binary.js'
import type { StartEngine } from '../kit/engines.js'
import { natsEngine } from '../kit/nats-engine.js'
import { resyncOf } from '../kit/numbered.js'
import { startProcess, waitForEvents } from '../kit/processes.js'
import { redisEngine } from '../kit/redis-engine.js'
import { startRedis } from '../kit/redis-server.js'

const run = promisify(execFile)

const ENGINES: [name: string, start: StartEngine][] = [
  ['redis', redisEngine],
  ['nats', natsEngine]
]
for (const [name, start] of ENGINES)
  t.test(`a Python program publishes everything that the docs say of the format to ${name}`, async (t) => {
    const python = requireBinary(t, 'python3')
    const engine = await start(t)
    if (python === undefined || engine === undefined) return
    const process = await startProcess(t, engine.backplane())
    const client = await process.connect({ query: { topic: '**' } })
    const ann = await process.connect({ headers: { 'x-user': 'ann' }, query: { topic: 'hall' } })
    const { id } = [...process.app.sse.clients].find(({ topics }) => topics.includes('hall'))!
    const eve = await process.connect({ headers: { 'x-user': 'eve' } })
    await run(python, ['test/fixtures/publish.py', name, String(engine.port), id])
    for (const reader of [client, ann]) await reader.until(({ data }) => data === '"end"')
    await eve.waitForEnd()
    const shown = (events: typeof client.events) => events.map(({ event, data }) => (event ? [event, data] : data))
    const created = ['todo.created', '{"id":7,"title":"café"}']
    const lost = ['resync', '{"reason":"backplane","missed":null}']
    const topical = ['"in the room"', '"in the hall"']
    t.strictSame(shown(client.events), [
      created,
      '[1,\n2]',
      '"except"',
      '7',
      '"request"',
      '',
      ...topical,
      lost,
      '"end"'
    ])
    t.strictSame(shown(ann.events), [created, '7', '"request"', '', topical[0], ['note', '1'], lost, '"end"'])
    t.equal(client.events[1]!.id, 'todo-7')
    t.ok(resyncOf(client.events.at(-2)!), 'a loss is told')
    t.equal(process.app.sse.stats().backplane!.foreign, 0)
  })

t.test('a shell publishes with the command in the docs', async (t) => {
  const cli = requireBinary(t, 'redis-cli')
  const server = await startRedis(t)
  if (cli === undefined || server === undefined) return
  const client = await (await startProcess(t, redisStreams({ url: server.url }))).connect()
  const entry = ['m', 'worker-7f3a:1', 'l', '{}', 'b', 'event: todo.created\ndata: {"id":7}\n\n']
  await run(cli, ['-p', String(server.port), 'XADD', 'pylon-sse', 'MAXLEN', '~', '100000', '*', ...entry])
  await waitForEvents([client], 1)
  t.match(client.events, [{ event: 'todo.created', data: '{"id":7}' }])
})
