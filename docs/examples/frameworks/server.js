import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import Fastify from 'fastify'
import pylonSse from 'pylon-sse'

const app = Fastify()
await app.register(pylonSse)

const todos = []
app.get('/todos', async () => todos)

const body = {
  type: 'object',
  required: ['title'],
  properties: { title: { type: 'string', minLength: 1, maxLength: 200 } }
}
app.post('/todos', { schema: { body } }, async (request, reply) => {
  const todo = { id: todos.length + 1, title: request.body.title }
  todos.push(todo)
  app.sse.broadcast(todo, { event: 'todo.created' })
  return reply.code(201).send(todo)
})

// In place of the bundler of the app's pages.
const folder = fileURLToPath(new URL('pages', import.meta.url))
const { outputFiles } = await build({
  entryPoints: readdirSync(folder).map((name) => `${folder}/${name}`),
  outdir: folder,
  bundle: true,
  format: 'esm',
  jsx: 'automatic',
  tsconfigRaw: { compilerOptions: { experimentalDecorators: true, useDefineForClassFields: false } }, // for Angular
  write: false
})
for (const { path, text } of outputFiles) {
  const name = path.slice(folder.length + 1, -'.js'.length)
  app.get(`/${name}.js`, (_request, reply) => reply.type('text/javascript').send(text))
  app.get(`/${name}`, (_request, reply) =>
    reply
      .type('text/html')
      .send(
        `<!doctype html><meta charset="utf-8"><div id="root"></div><script type="module" src="/${name}.js"></script>`
      )
  )
}

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())
console.log(await app.listen({ port: Number(process.env.PORT ?? 3000) }))
