import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { convertToModelMessages, streamText } from 'ai'
import { build } from 'esbuild'
import Fastify from 'fastify'
import pylonSse from 'pylon-sse'
import { addLogin, authenticate } from './login.js'
import { model } from './model.js'

const app = Fastify()
await addLogin(app)
await app.register(pylonSse, { path: false })

const id = { type: 'string', pattern: '^[\\w-]{1,64}$' }
const ids = { type: 'object', properties: { chat: id, answer: id } }
const part = {
  type: 'object',
  required: ['type', 'text'],
  additionalProperties: false,
  properties: { type: { const: 'text' }, text: { type: 'string', minLength: 1, maxLength: 10_000 } }
}
const message = {
  type: 'object',
  required: ['id', 'role', 'parts'],
  additionalProperties: false,
  properties: { id, role: { const: 'user' }, parts: { type: 'array', minItems: 1, maxItems: 16, items: part } }
}
const body = { type: 'object', required: ['message'], properties: { message } }

// #region chats
/** By user and chat: `{ messages, answer }`, the id of the answer that is under way or null. Stands for a database. */
const chats = new Map()
// The user is part of the key, and of the run's topic: others have no such chat.
const keyOf = ({ params, user }) => `${user.sub}.${params.chat}`
const topicOf = (request) => `chat.${keyOf(request)}.${request.params.answer}`

app.get('/chats/:chat', { schema: { params: ids }, onRequest: authenticate }, async (request) => {
  return chats.get(keyOf(request)) ?? { messages: [], answer: null }
})

app.post(
  '/chats/:chat/messages',
  { schema: { params: ids, body }, onRequest: authenticate },
  async (request, reply) => {
    const message = request.body.message
    const key = keyOf(request)
    const before = chats.get(key)?.messages ?? []
    // A message that exists already is answered again, and what followed it is dropped: `regenerate()` of the SDK.
    const at = before.findIndex(({ id }) => id === message.id)
    const messages = [...(at < 0 ? before : before.slice(0, at)), message]
    const prompt = await convertToModelMessages(messages)
    if (chats.get(key)?.answer) return reply.code(409).send({ message: 'The last question is not answered yet.' })

    const answer = randomUUID()
    const chat = { messages, answer }
    app.sse.run(
      ({ signal }) =>
        streamText({ model, messages: prompt, abortSignal: signal }).toUIMessageStream({
          originalMessages: messages,
          generateMessageId: () => answer,
          // Called however it ends. After a stop the message has what was said until then.
          onFinish(finished) {
            Object.assign(chat, { messages: finished.messages, answer: null })
          }
        }),
      { topic: `chat.${key}.${answer}`, abandonAfter: 60_000 }
    )
    chats.set(key, chat)
    return reply.code(202).send({ answer })
  }
)

app.get('/chats/:chat/answers/:answer', { schema: { params: ids }, onRequest: authenticate }, (request, reply) =>
  app.sse.stream(request, reply, { run: topicOf(request) })
)

app.delete(
  '/chats/:chat/answers/:answer',
  { schema: { params: ids }, onRequest: authenticate },
  async (request, reply) => {
    app.sse.stopRun(topicOf(request)) // wherever it is
    return reply.code(204).send()
  }
)
// #endregion

// In place of the bundler of the app's pages.
const entry = fileURLToPath(new URL('page.jsx', import.meta.url))
const { outputFiles } = await build({
  entryPoints: [entry],
  bundle: true,
  format: 'esm',
  jsx: 'automatic',
  write: false
})
app.get('/page.js', (_request, reply) => reply.type('text/javascript').send(outputFiles[0].text))
app.get('/', (_request, reply) =>
  reply
    .type('text/html')
    .send(
      '<!doctype html><meta charset="utf-8"><title>A chat</title><div id="root"></div><script type="module" src="/page.js"></script>'
    )
)

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())
console.log(await app.listen({ port: Number(process.env.PORT ?? 3000) }))
