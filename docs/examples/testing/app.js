import Fastify from 'fastify'
import pylonSse from 'pylon-sse'

export function build() {
  const app = Fastify()
  app.register(pylonSse, { cors: false, authorizeTopics: () => ['todos.*'] })

  app.post('/lists/:list', async (request, reply) => {
    const todo = { list: request.params.list, title: request.body.title }
    app.sse.broadcast(todo, { event: 'todo.created', topic: `todos.${todo.list}` })
    return reply.code(201).send(todo)
  })
  return app
}
