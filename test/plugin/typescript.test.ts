import t from 'tap'
import { LanguageService } from '../kit/language-service.js'

/** Mistakes in an app that has declared its events as the fixture does, and the whole of what the compiler says. */
const mistakes: [what: string, code: string, message: string][] = [
  [
    'a field of the data that is missing',
    "sse.broadcast({ id: 7 }, { event: 'todo.created' })",
    "Argument of type '{ id: number; }' is not assignable to parameter of type 'Todo'.\n" +
      "  Property 'title' is missing in type '{ id: number; }' but required in type 'Todo'."
  ],
  [
    'a field of the data that has another type',
    "sse.broadcast({ id: '7', title: 'write' }, { event: 'todo.created' })",
    "Type 'string' is not assignable to type 'number'."
  ],
  [
    'a field of the data that is misspelt',
    "sse.broadcast({ id: 7, titel: 'write' }, { event: 'todo.created' })",
    "Object literal may only specify known properties, but 'titel' does not exist in type 'Todo'. " +
      "Did you mean to write 'title'?"
  ],
  [
    'a field of the data that nobody has declared',
    "sse.broadcast({ id: 7, text: 'more' }, { event: 'todo.deleted' })",
    "Object literal may only specify known properties, and 'text' does not exist in type '{ id: number; }'."
  ],
  [
    'an event that is misspelt',
    "sse.broadcast({ id: 7 }, { event: 'todo.craeted' })",
    `Type '"todo.craeted"' is not assignable to type '"todo.created" | "todo.deleted" | undefined'. ` +
      `Did you mean '"todo.created"'?`
  ],
  [
    'an option that events do not have',
    "sse.broadcast({ id: 7 }, { event: 'todo.deleted', to: 'ann' })",
    "Object literal may only specify known properties, and 'to' does not exist in type 'EventOptions<\"todo.deleted\">'."
  ],
  [
    'data that is published',
    "await sse.publish({ title: 'write' }, { event: 'todo.created' })",
    "Argument of type '{ title: string; }' is not assignable to parameter of type 'Todo'.\n" +
      "  Property 'id' is missing in type '{ title: string; }' but required in type 'Todo'."
  ],
  [
    'data that is sent to one client',
    "client.send({ id: 7 }, { event: 'todo.created' })",
    "Argument of type '{ id: number; }' is not assignable to parameter of type 'Todo'.\n" +
      "  Property 'title' is missing in type '{ id: number; }' but required in type 'Todo'."
  ],
  [
    'a field of the state that may not be set yet',
    'client.state.userId.length',
    "'client.state.userId' is possibly 'undefined'."
  ],
  [
    'a state that is set without a field that it must have',
    'client.state = {}',
    "Property 'userId' is missing in type '{}' but required in type 'SseClientState'."
  ],
  [
    'a selector that selects nothing in particular',
    'sse.disconnect({})',
    "Argument of type '{}' is not assignable to parameter of type 'ClientSelector | ((client: SseClient) => boolean)'."
  ],
  [
    'a field of the state that is misspelt in a selector',
    "sse.disconnect({ state: { usr: 'ann' } })",
    "Object literal may only specify known properties, and 'usr' does not exist in type '{ userId?: string; }'."
  ],
  [
    'a field of the state that has another type in a selector',
    'sse.disconnect({ state: { userId: 7 } })',
    "Type 'number' is not assignable to type 'string'."
  ],
  [
    'a field of the state that other processes cannot compare',
    "sse.disconnect({ state: { tags: ['a'] } })",
    "Object literal may only specify known properties, and 'tags' does not exist in type '{ userId?: string; }'."
  ]
]
const CREATED = "sse.broadcast/**/({ id: 7, title: 'write' }, { event: 'todo.created' })"
const PLAIN = "sse.broadcast/**/('text')"

const completions: [what: string, code: string, names: string[]][] = [
  ['the fields of the data', "sse.broadcast({ /**/ }, { event: 'todo.created' })", ['id', 'title']],
  ['those that are missing', "void sse.publish({ id: 7, /**/ }, { event: 'todo.created' })", ['title']],
  ["those of one client's event", "client.send({ /**/ }, { event: 'todo.deleted' })", ['id']],
  ['the events', "sse.broadcast({ id: 7 }, { event: '/**/' })", ['todo.created', 'todo.deleted']],
  ['the options', 'sse.broadcast({ id: 7 }, { /**/ })', ['event', 'except', 'id', 'topic']],
  ['the fields of the state', 'client.state./**/userId', ['tags', 'userId']],
  ['what clients are selected by', 'sse.disconnect({ /**/ })', ['id', 'ip', 'state', 'topic']],
  ['the fields that are compared', 'sse.disconnect({ state: { /**/ } })', ['userId']]
]
const head = [
  "import type { Sse, SseClient } from 'pylon-sse'",
  'declare const sse: Sse',
  'declare const client: SseClient'
]
const lines = [...head, ...mistakes.map(([, code]) => code), CREATED, PLAIN, ...completions.map(([, code]) => code)]
const declared = new LanguageService(['typed-events.ts'], lines)

t.test('events that are declared are checked by name and data, and so is the state of clients', async (t) => {
  t.strictSame(declared.checkFixture('typed-events.ts'), [])
})

t.test('the compiler says which field is wrong, and why', async (t) => {
  const messages = declared.checkLines()
  for (const [what, code, message] of mistakes) t.strictSame(messages[lines.indexOf(code)], [message], what)
})

t.test('an editor completes the data of an event, its options, and selectors', async (t) => {
  for (const [what, code, names] of completions) t.strictSame(declared.completions(code), names, what)
})

t.test('an editor shows that events are sent as data and options', async (t) => {
  t.equal(
    declared.hover(CREATED),
    '(method) Sse.broadcast<"todo.created">(data: Todo, options?: EventOptions<"todo.created"> | undefined): void'
  )
  t.equal(
    declared.hover(PLAIN),
    '(method) Sse.broadcast<undefined>(data: unknown, options?: EventOptions<undefined> | undefined): void'
  )
})

t.test('if nothing is declared, every name, data and state is allowed; options may be undefined', async (t) => {
  const undeclared = new LanguageService(['untyped-events.ts', 'options.ts'])
  t.strictSame(undeclared.checkFixture('untyped-events.ts'), [])
  t.strictSame(undeclared.checkFixture('options.ts'), [], 'and a request is typed as that of a route')
})
