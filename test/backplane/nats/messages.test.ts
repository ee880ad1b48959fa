import t from 'tap'
import { bodiesOf, join, PLENTY, parcels } from '../../kit/backplane-listener.js'
import { addStream, infoOf, over, REFUSED } from '../../kit/jetstream.js'
import { startNats } from '../../kit/nats-server.js'
import { startProcess } from '../../kit/processes.js'

t.test('events published together are one message, or several if one cannot hold them', async (t) => {
  const server = await startNats(t, { config: ['max_payload: 8192'] })
  if (server === undefined) return
  const backplane = over(t, server)
  const { listener } = await join(backplane)
  await backplane.publish(parcels(...Array.from({ length: 40 }, (_, i) => `data: ${i}\n\n`)))
  t.equal((await infoOf(server)).state.messages, 1)
  const bodies = Array.from({ length: 12 }, (_, i) => `data: ${i} ${'x'.repeat(3000)}\n\n`)
  const cursors = await backplane.publish(parcels(...bodies))
  t.equal((await infoOf(server)).state.messages, 1 + 6)
  const entries = await listener.waitForEntries(52)
  t.strictSame(bodiesOf(entries).slice(40), bodies)
  t.strictSame(
    entries.slice(40).map(({ cursor }) => cursor),
    cursors
  )
  const late = await join(over(t, server), { ...PLENTY, events: 45 })
  t.strictSame(bodiesOf(late.history), bodiesOf(entries).slice(-45), 'history begins amid a message')
  t.equal(late.floor, entries.at(-46)!.cursor)
})

t.test('an event too large for a message is refused alone', async (t) => {
  const server = await startNats(t, { config: ['max_payload: 8192'] })
  if (server === undefined) return
  const backplane = over(t, server)
  const { listener } = await join(backplane)
  const large = `data: ${'x'.repeat(9000)}\n\n`
  await t.rejects(backplane.publish(parcels('data: 1\n\n', large)), {
    code: REFUSED,
    message: /nats has refused an event: it has 9\d\d\d bytes, and a message may have 7680/
  })
  await backplane.publish(parcels('end'))
  t.strictSame(bodiesOf(await listener.waitForEntries(1)), ['end'], 'nothing of the batch is there')

  const process = await startProcess(t, over(t, server))
  const client = await process.connect()
  const sent = [1, 'x'.repeat(9000), 3].map((data) => process.app.sse.publish(data))
  const [one, two, three] = await Promise.allSettled(sent)
  t.match(two, { status: 'rejected', reason: { code: REFUSED, statusCode: 503 } })
  await client.until(({ data }) => data === '3')
  t.strictSame(
    client.events.map(({ data }) => data),
    ['1', '3']
  )
  const ids = [one, three].map((result) => (result as PromiseFulfilledResult<string>).value)
  t.strictSame(
    client.events.map(({ id }) => id),
    ids
  )
})

t.test('the message size limit of a stream is respected', async (t) => {
  const server = await startNats(t)
  if (server === undefined) return
  await addStream(server, { max_msg_size: 4096 })
  const backplane = over(t, server)
  const { listener } = await join(backplane)
  await backplane.publish(parcels('x'.repeat(2000), 'y'.repeat(2000)))
  t.equal((await listener.waitForEntries(2)).length, 2)
  await t.rejects(backplane.publish(parcels('x'.repeat(4000))), { code: REFUSED })
})

t.test('a long history of large and small messages is read within its bounds', async (t) => {
  const server = await startNats(t)
  if (server === undefined) return
  const backplane = over(t, server)
  await join(backplane)
  for (let i = 0; i < 30; i++) {
    await backplane.publish(parcels(...Array.from({ length: i === 5 ? 500 : 1 }, (_, j) => `${i}/${j}`)))
  }
  for (let i = 0; i < 20; i++) await backplane.publish(parcels('x'.repeat(200_000)))
  for (const [bounds, count] of [
    [{ events: 10_000, bytes: 2 ** 30 }, 549],
    [{ events: 40, bytes: 2 ** 30 }, 40],
    [{ events: 100, bytes: 2 ** 30 }, 100],
    [{ events: 10_000, bytes: 2_000_000 }, 10],
    [{ events: 10_000, bytes: 1 }, 1],
    [{ events: 1, bytes: 1 }, 1]
  ] as const) {
    const { history } = await join(over(t, server), bounds)
    t.equal(history.length, count, JSON.stringify(bounds))
  }
})
