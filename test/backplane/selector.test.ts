import t from 'tap'
import { type ClientSelector, checkSelector, picks } from '../../lib/backplane/selector.js'
import type { SseClient } from '../../lib/index.js'

const ANN = {
  id: 'id-1',
  ip: '10.0.0.1',
  topics: ['room.7', 'news.*'],
  state: { user: 'ann', age: 30, isAdmin: false, team: null }
} as unknown as SseClient

const picking: [what: string, selector: ClientSelector][] = [
  ['its id', { id: 'id-1' }],
  ['its address', { ip: '10.0.0.1' }],
  ['a topic', { topic: 'room.7' }],
  ['a pattern', { topic: 'news.*' }],
  [
    'what its state holds',
    { state: { user: 'ann', age: 30, isAdmin: false, team: null } as ClientSelector['state'] & {} }
  ],
  ['several of these', { ip: '10.0.0.1', topic: 'room.7', state: { user: 'ann' } }],
  ['what is not there', { id: 'id-1', ip: undefined } as unknown as ClientSelector]
]
for (const [what, selector] of picking) {
  t.test(`a client is picked by ${what}`, async (t) => {
    t.ok(picks(checkSelector(selector), ANN))
    t.ok(picks(JSON.parse(JSON.stringify(checkSelector(selector))), ANN), 'on another process, too')
  })
}

const missing: [what: string, selector: ClientSelector][] = [
  ['another id', { id: 'id-2' }],
  ['another address', { ip: '10.0.0.2' }],
  ['a topic that its patterns match', { topic: 'news.today' }],
  ['another value', { state: { user: 'eve' } }],
  ['a value of another type', { state: { age: '30' } }],
  ['a field that it has not', { state: { role: 'admin' } }],
  ['one thing that holds and one that does not', { id: 'id-1', state: { user: 'eve' } }],
  ['a field that every object has', { state: { constructor: 'Object' } }]
]
for (const [what, selector] of missing) {
  t.test(`a client is not picked by ${what}`, async (t) => {
    t.notOk(picks(checkSelector(selector), ANN))
  })
}

t.test('a client whose state was removed is not picked by it', async (t) => {
  const bare = { ...ANN, state: undefined } as unknown as SseClient
  t.notOk(picks({ state: { user: 'ann' } }, bare))
  t.ok(picks({ id: 'id-1' }, bare))
})

const wrong: [what: string, selector: unknown, message: RegExp][] = [
  ['no field', {}, /no field/],
  ['a field without a value', { id: undefined }, /no field/],
  ['a field that it does not know', { name: 'ann' }, /name/],
  ['an id that is no text', { id: 7 }, /id/],
  ['a topic that is none', { topic: 'a\nb' }, /topic/],
  ['an empty state', { state: {} }, /state/],
  ['a state that is no object', { state: 'ann' }, /state/],
  ['a state of null', { state: null }, /state/],
  ['an object in the state', { state: { user: { id: 7 } } }, /state\.user/],
  ['nothing in the state', { state: { user: undefined } }, /state\.user/]
]
for (const [what, selector, message] of wrong) {
  t.test(`a selector with ${what} is refused, since it would pick unintended clients`, async (t) => {
    t.throws(() => checkSelector(selector as ClientSelector), { code: 'PYLON_SSE_ERR_INVALID_SELECTOR', message })
  })
}
