import t from 'tap'
import { serve } from '../../kit/server.js'
import { Arrivals, asksFor, heard } from '../../kit/topics.js'

t.test('except leaves out one client, even if others share its bytes', async (t) => {
  const arrivals = new Arrivals()
  const served = await serve(t, { sse: { authorizeTopics: () => true, shards: 1, onConnect: arrivals.onConnect } })
  const readers = [await served.connect(asksFor('room')), await served.connect(asksFor('room')), await served.connect()]
  const [sender] = arrivals.all
  const { sse } = served.app
  sse.broadcastMessage('1')
  sse.broadcastMessage('2', { except: sender!.id })
  sse.broadcastMessage('3', { topic: 'room', except: sender!.id })
  sse.broadcastMessage('4', { topic: 'room' })
  sse.broadcastMessage('5', { except: 'nobody' })
  t.strictSame(await heard(served, ...readers), [
    ['1', '4', '5'],
    ['1', '2', '3', '4', '5'],
    ['1', '2', '5']
  ])
  sse.broadcastMessage('6', { except: sender!.id })
  t.strictSame(await heard(served, ...readers), [
    ['1', '4', '5'],
    ['1', '2', '3', '4', '5', '6'],
    ['1', '2', '5', '6']
  ])
})

t.test('a page that sends its client id in a header does not get its own events', async (t) => {
  const served = await serve(t, {
    setup: (app) => {
      app.post('/say', async ({ headers, body }) => {
        app.sse.broadcast(body, { except: headers['x-sse-client'] as string | undefined })
        return {}
      })
    },
    sse: { onConnect: (client) => void client.send({ you: client.id }, { event: 'hello' }) }
  })
  const [speaker, listener] = [await served.connect(), await served.connect()]
  const say = (text: string, id?: string) =>
    fetch(`${served.url}/say`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(id !== undefined && { 'x-sse-client': id }) },
      body: JSON.stringify(text)
    })
  const { you } = JSON.parse((await speaker.next()).data)
  await say('mine', you)
  await say('nobody knows whose')
  await say('forged', 'not an id')
  const told = await heard(served, speaker, listener)
  t.strictSame(
    told.map((data) => data.slice(1)),
    [
      ['"nobody knows whose"', '"forged"'],
      ['"mine"', '"nobody knows whose"', '"forged"']
    ]
  )
})
