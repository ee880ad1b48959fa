import swagger from '@fastify/swagger'
import Fastify from 'fastify'
import pylonSse from 'pylon-sse'

const app = Fastify()
await app.register(swagger, {
  openapi: {
    openapi: '3.2.0',
    info: { title: 'Todos', version: '1.0.0' },
    components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } }
  }
})

// #region shared
app.addSchema({ $id: 'todo', type: 'object', properties: { id: { type: 'integer' } } })
const events = { 'todo.created': app.getSchema('todo') }
// #endregion

// #region route
await app.register(pylonSse, {
  events,
  route: {
    schema: {
      tags: ['todos'],
      security: [{ bearer: [] }],
      response: { 401: { description: 'Log in first.', type: 'object', properties: { message: { type: 'string' } } } }
    }
  }
})
// #endregion

app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger())

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => app.close())
console.log(await app.listen({ port: Number(process.env.PORT ?? 3000) }))
