import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import type { Test } from 'tap'
import t from 'tap'
import { parse } from 'yaml'
import { Example, exampleFile, Program, readExample, startExamples } from '../kit/example.js'
import { startNats } from '../kit/nats-server.js'
import { startNginx } from '../kit/nginx.js'
import { freePort, startRedis } from '../kit/redis-server.js'

// Processes take long to start on a busy machine.
t.setTimeout(300_000)

t.test('fastify-cli/: a plugin adds the stream, and routes broadcast to it', async (t) => {
  const cli = createRequire(import.meta.url).resolve('fastify-cli/cli.js')
  const args = [cli, 'start', '--port', '0', '--log-level', 'info', 'app.js']
  const started = new Program(t, 'fastify-cli', { args })
  const [, port] = await started.waitFor(/listening at http:\/\/\S+:(\d+)/)
  const example = new Example(t, Number(port))
  const reader = await example.listen()
  t.strictSame(await example.json('POST', '/say', { hello: 'everyone' }), { clients: 1 })
  t.strictSame((await reader.next('message')).data, { hello: 'everyone' })
  await Promise.all([started.stop(), reader.end()])
})

/** An event that is published by the first is heard at the second, and clients resume there. */
async function share(t: Test, [one, other]: Example[]) {
  for (const example of [one!, other!]) t.equal((await example.call('GET', '/ready')).status, 204)
  const reader = await other!.listen()
  const { id } = await one!.json<{ id: string }>('POST', '/say', { hello: 'everyone' })
  t.match(await reader.next('message'), { id, data: { hello: 'everyone' } })
  const next = await other!.json<{ id: string }>('POST', '/say', { hello: 'again' })
  const resumed = await one!.listen('/events', { lastEventId: id })
  t.match(await resumed.next('message'), { id: next.id, data: { hello: 'again' } })
  return reader
}

t.test('several-processes/ and proxies/: two processes share a log, through nginx, too', async (t) => {
  const [redis, nats] = [await startRedis(t), await startNats(t)]
  if (redis === undefined || nats === undefined) return
  const start = () =>
    startExamples(
      t,
      ['several-processes/server.js', { REDIS_URL: redis.url }],
      ['several-processes/nats.js', { NATS_URL: nats.servers }]
    )
  const processes = [await start(), await start()]
  const [byRedis, byNats] = [0, 1].map((index) => processes.map(({ examples }) => examples[index]!))
  await share(t, byNats!)
  await share(t, byRedis!)

  const [one, other] = byRedis!
  const sites = {
    'nginx.conf': { 3000: one!.port },
    'nginx-several.conf': { 3001: one!.port, 3002: other!.port, 3003: await freePort() }
  }
  for (const [file, ports] of Object.entries(sites)) {
    const port = await startNginx(t, await readExample(`proxies/${file}`), ports)
    if (port === undefined) return
    const proxied = new Example(t, port)
    const readers = [await proxied.listen(), await proxied.listen(), await proxied.listen()]
    const served = new Set(readers.map(({ response }) => response.headers.get('x-served-by')))
    t.equal(served.size, file === 'nginx.conf' ? 1 : 2, `${file}: by which processes`)
    await proxied.call('POST', '/say', { through: file })
    for (const reader of readers) {
      t.strictSame((await reader.next('message')).data, { through: file })
    }
  }

  const site = await readExample('docker/nginx.conf')
  const inside = await startNginx(t, site.replace('app:3000', `127.0.0.1:${one!.port}`), {})
  const contained = await new Example(t, inside!).listen()
  t.equal(contained.response.headers.get('x-served-by'), `${processes[0]!.program.pid}`)
})

t.test('docker/: its files name files that exist, and their commands run', async (t) => {
  const { services, volumes } = parse(await readExample('docker/compose.yaml'))
  const lines = (await readExample('docker/Dockerfile')).replace(/\\\n\s*/g, '').split('\n')
  const argumentsOf = (instruction: string) =>
    lines.filter((line) => line.startsWith(`${instruction} `)).map((line) => line.slice(instruction.length + 1))
  // The first two are made by npm, which the page says.
  const copied = argumentsOf('COPY').flatMap((line) => line.split(' ').slice(0, -1))
  t.strictSame(copied, ['package.json', 'package-lock.json', 'server.js'])
  t.equal(argumentsOf('USER')[0], 'node')
  t.strictSame(services.app.build, '.')
  for (const { depends_on = {} } of Object.values<{ depends_on?: object }>(services)) {
    const names = Array.isArray(depends_on) ? depends_on : Object.keys(depends_on)
    for (const name of names) t.ok(name in services, name)
  }
  for (const [path] of services.nginx.volumes.map((volume: string) => volume.split(':'))) {
    t.ok(await readExample(`docker/${path}`))
  }
  t.ok(services.redis.volumes.every((volume: string) => volume.split(':')[0]! in volumes))

  const redis = await startRedis(t)
  if (redis === undefined) return
  const { environment } = services.app
  t.equal(environment.REDIS_URL, 'redis://redis:6379')
  const env = { ...environment, REDIS_URL: redis.url }
  const [command, ...args]: string[] = JSON.parse(argumentsOf('CMD')[0]!)
  t.equal(command, 'node')
  const server = new Program(t, 'several-processes', { args, env })
  const [, port] = await server.waitFor(/http:\/\/\S+:(\d+)/)
  const [, check] = /CMD (\[.*\])$/.exec(argumentsOf('HEALTHCHECK')[0]!)!
  const checking = () => JSON.parse(check!.replace(':3000', `:${port}`)).slice(1) as string[]
  t.equal(await new Program(t, '.', { args: checking() }).waitForExit(), 0, 'it is healthy')
  const example = new Example(t, Number(port))
  const reader = await example.listen()
  await server.stop()
  await reader.end()
  t.equal(await new Program(t, '.', { args: checking() }).waitForExit(), 1, 'it is not')
})

t.test('a program does not start without the secret that it needs', async (t) => {
  const secretive = [
    ['publishing/server.js', 'PUBLISH_TOKEN'],
    ['auth-cookie/server.js', 'JWT_SECRET'],
    ['auth-bearer/server.js', 'JWT_SECRET'],
    ['auth-ticket/server.js', 'JWT_SECRET']
  ] as const
  const code = `for (const url of process.argv.slice(1)) await import(url).then(() => console.log('started'), console.log)`
  const urls = secretive.map(([file]) => pathToFileURL(exampleFile(file)).href)
  const env = { PUBLISH_TOKEN: '', JWT_SECRET: 'short' }
  const started = new Program(t, '.', { args: ['--input-type=module', '--eval', code, '--', ...urls], env })
  for (const [, name] of secretive) await started.waitFor(new RegExp(`Error: ${name} must be`))
  t.equal(await started.waitForExit(), 0)
  t.notMatch(started.output, 'started')
})
