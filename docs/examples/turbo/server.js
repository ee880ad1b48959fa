import { readFile } from 'node:fs/promises'
import Fastify from 'fastify'
import pylonSse from 'pylon-sse'

const app = Fastify()
await app.register(pylonSse, { cors: false })

// #region say
const ENTITIES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
const escapeHtml = (text) => String(text).replace(/[&<>"']/g, (character) => ENTITIES[character])

app.post('/say', async ({ body }, reply) => {
  // Plain text without a name, not JSON: Turbo reads it as a stream of changes.
  app.sse.broadcastMessage(
    `<turbo-stream action="append" target="list"><template><li>${escapeHtml(body.text)}</li></template></turbo-stream>`
  )
  return reply.code(204).send()
})
// #endregion

// Turbo posts forms.
app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, text, done) =>
  done(null, Object.fromEntries(new URLSearchParams(String(text))))
)

for (const [path, file, type] of [
  ['/', './page.html', 'text/html'],
  ['/turbo.js', '@hotwired/turbo', 'text/javascript']
]) {
  const content = await readFile(new URL(import.meta.resolve(file)))
  app.get(path, (_request, reply) => reply.type(type).send(content))
}

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())
console.log(await app.listen({ port: Number(process.env.PORT ?? 3000) }))
