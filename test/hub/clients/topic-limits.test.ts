import t from 'tap'
import { asksFor, heard, serveAll, tellEach } from '../../kit/topics.js'

const refused: [what: string, topics: string[], reason: RegExp][] = [
  ['more topics than allowed', ['a', 'b', 'c', 'd'], /cannot subscribe to 4 topics; a subscription takes 3 at most/],
  [
    'a name of too many bytes',
    ['ééééé'],
    /cannot subscribe to a topic of 10 bytes; a subscription takes 8 bytes at most/
  ],
  ['no name at all', [''], /cannot subscribe to ""; a subscription takes a name/],
  ['an empty name among others', ['a', ''], /cannot subscribe to ""/],
  ['a line break', ['a\nb'], /cannot subscribe to "a\\nb"; a subscription takes a name without control characters/],
  ['a NUL', ['\0'], /cannot subscribe to "\\u0000"/],
  ['a wildcard within a word', ['a*'], /cannot subscribe to "a\*"/],
  ['** before the end', ['**.a'], /cannot subscribe to "\*\*.a"; a subscription takes .* '\*\*', at the end/],
  ['***', ['***'], /cannot subscribe to "\*\*\*"/]
]
const limits = { maxTopics: 3, maxTopicBytes: 8 }

for (const [what, topics, reason] of refused) {
  t.test(`a client that asks for ${what} is told so by a 400, and one is subscribed to none`, async (t) => {
    const served = await serveAll(t, limits)
    const reader = await served.connect(asksFor(...topics))
    await reader.waitForEnd()
    t.equal(reader.status, 400)
    const { code, message } = JSON.parse(reader.body)
    t.equal(code, 'PYLON_SSE_ERR_INVALID_TOPIC')
    t.match(message, reason)
    t.match(served.app.sse.stats(), { connected: 0, rejected: { invalidTopic: 1 } })

    const fine = await served.connect()
    const client = served.arrivals.last
    for (const topic of topics.slice(0, -1)) if (topic !== '') client.subscribe(topic)
    const before = client.topics
    const last = topics.at(-1)!
    t.throws(() => client.subscribe(last), { code: 'PYLON_SSE_ERR_INVALID_TOPIC', message: reason })
    t.strictSame(client.topics, before)
    t.strictSame(await heard(served, fine), [[]], 'and goes on')
  })
}

t.test('up to its limits a client may hear any topic, and a topic asked for twice counts once', async (t) => {
  const served = await serveAll(t, limits)
  const reader = await served.connect(asksFor('a', 'b', 'a', '12345678', 'b'))
  t.equal(reader.status, 200)
  t.strictSame(served.arrivals.last.topics, ['a', 'b', '12345678'])
  served.arrivals.last.unsubscribe('b')
  served.arrivals.last.subscribe('éééé')
  tellEach(served, ['12345678', 'éééé', 'b'])
  t.strictSame(await heard(served, reader), [['12345678', 'éééé']])
})

for (const topic of ['a.*', '**', 'a*', '', 'a\nb', '123456789']) {
  t.test(`an event cannot have the topic ${JSON.stringify(topic)}`, async (t) => {
    const served = await serveAll(t, limits)
    const reader = await served.connect(asksFor('a', '**'))
    t.throws(() => served.app.sse.broadcast(1, { topic }), { code: 'PYLON_SSE_ERR_INVALID_EVENT' })
    await t.rejects(served.app.sse.publish(1, { topic }), { code: 'PYLON_SSE_ERR_INVALID_EVENT' })
    t.strictSame(await heard(served, reader), [[]])
  })
}
