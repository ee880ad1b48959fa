// The client in Deno and Bun, where they are installed: `npm run build && npx tap run test/by-hand/runtimes.ts --disable-coverage`.

import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { findBinary } from '../kit/binary.js'
import { serve } from '../kit/server.js'

const CLIENT = new URL('../../dist/entries/client/client.js', import.meta.url).href

for (const [name, args] of [
  ['node', []],
  ['deno', ['run', '-A']],
  ['bun', ['run']]
] as const) {
  const binary = findBinary(name)
  const skip = binary === undefined && 'it is not installed'
  t.test(`in ${name} the client loads the state, resumes, and changes its topics`, { skip }, async (t) => {
    const s = await serve(t, {
      sse: { retry: 10, authorizeTopics: () => true },
      setup: (app) => {
        app.post<{ Body: { n: number; topic?: string } }>('/say', async ({ body }) => {
          app.sse.broadcast(body.n, body.topic === undefined ? {} : { topic: body.topic })
          return {}
        })
        app.post('/cut', async () => {
          for (const client of app.sse.clients) client.close()
          return {}
        })
      }
    })
    const program = `
      import { connect } from '${CLIENT}'
      const heard = []
      const live = connect('${s.url}/events', { topics: ['a'], load: async () => { heard.push('load') } })
      const post = (path, body = {}) =>
        fetch('${s.url}' + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
      const events = live[Symbol.asyncIterator]()
      const next = async () => heard.push((await events.next()).value.data)
      await new Promise((resolve) => live.onStatus(({ state }) => state === 'open' && resolve()))
      await post('/say', { n: 1, topic: 'a' })
      await next()
      await post('/cut')
      await post('/say', { n: 2 })
      await next()
      live.topics.add('b')
      await post('/say', { n: 3, topic: 'b' })
      await next()
      live.close()
      console.log(JSON.stringify(heard))
    `
    const file = join(t.testdir({}), 'program.mjs')
    await writeFile(file, program)
    const { stdout } = await promisify(execFile)(binary!, [...args, file])
    t.strictSame(JSON.parse(stdout), ['load', 1, 2, 3])
  })
}
