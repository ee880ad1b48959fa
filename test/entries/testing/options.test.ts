import t from 'tap'
import { listen } from '../../../lib/entries/testing/testing.js'
import { withStream } from '../../kit/inject-client.js'

t.test('invalid options are refused, with what they take', async (t) => {
  const app = await withStream(t)
  const refused: [options: object, message: string][] = [
    [{ topic: ['a'] }, "Option 'topic' does not exist; did you mean 'topics'?"],
    [{ topics: 'a' }, "Option 'topics' got 'a'; it takes an array of topics."],
    [{ topics: [1] }, "Option 'topics' got an array; it takes an array of topics."],
    [{ query: { a: 1 } }, "Option 'query.a' got 1; it takes a string."],
    [{ headers: 'a: b' }, "Option 'headers' got 'a: b'; it takes an object of headers."],
    [{ headers: { a: 1 } }, "Option 'headers.a' got 1; it takes a string or an array of strings."],
    [{ lastEventId: 7 }, "Option 'lastEventId' got 7; it takes a string."],
    [{ method: 'post' }, "Option 'method' got 'post'; it takes a method such as 'POST'."],
    [{ transport: 'tcp' }, "Option 'transport' got 'tcp'; it takes 'inject' or 'socket'."],
    [{ ip: 1 }, "Option 'ip' got 1; it takes a string."],
    [{ timeout: 0 }, "Option 'timeout' got 0; it takes a whole number from 1 to 2147483647."],
    [{ signal: {} }, "Option 'signal' got an object; it takes an AbortSignal."]
  ]
  for (const [options, message] of refused) {
    await t.rejects(listen(app, '/events', options), { code: 'PYLON_SSE_ERR_INVALID_OPTION', message })
  }
  await t.rejects(listen(app, 'events'), { message: "Option 'path' got 'events'; it takes a path such as '/events'." })
  await t.rejects(listen(app, 7 as never), { message: "Option 'path' got 7; it takes a path such as '/events'." })
  await t.rejects(listen(app, null as never), { message: "Option 'options' got null; it takes an object." })
  const target = "it takes a Fastify app, or a URL such as 'http://127.0.0.1:3000'."
  await t.rejects(listen('/events'), { message: `Option 'target' got '/events'; ${target}` })
  await t.rejects(listen(null as never), { message: `Option 'target' got null; ${target}` })
  await t.rejects(listen({} as never), { message: `Option 'target' got an object; ${target}` })
  await t.rejects(listen('ftp://127.0.0.1/'), { message: `Option 'target' got 'ftp://127.0.0.1/'; ${target}` })
  await t.rejects(listen('http://127.0.0.1:1/', { transport: 'inject' }), {
    message: "Option 'transport' got 'inject'; it takes 'socket' for a URL; 'inject' takes an app."
  })
  const events = await listen(app)
  await t.rejects(events.next('a', { timeuot: 1 } as never), {
    message: "Option 'options.timeuot' does not exist; did you mean 'options.timeout'?"
  })
  await t.rejects(events.next({ timeout: -1 }), { code: 'PYLON_SSE_ERR_INVALID_OPTION' })
  await t.rejects(events.take(0), { message: "Option 'count' got 0; it takes a whole number from 1." })
  await t.rejects(events.until('a' as never), { message: "Option 'predicate' got 'a'; it takes a function." })
  await t.rejects(events.none('a' as never), { message: "Option 'ms' got 'a'; it takes a whole number from 1." })
  await t.rejects(events.none(1, 2 as never), { message: "Option 'name' got 2; it takes the name of an event." })
})
