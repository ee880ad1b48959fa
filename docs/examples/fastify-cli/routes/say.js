export default async function say(app) {
  app.post('/say', async (request) => {
    app.sse.broadcast(request.body)
    return { clients: app.sse.clientCount }
  })
}
