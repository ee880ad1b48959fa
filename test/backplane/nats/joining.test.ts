import t from 'tap'
import { loadPackage } from '../../../lib/backplane/engine-setup.js'
import { type JetStreamOptions, jetStream } from '../../../lib/backplane/nats/jetstream.js'
import { NatsLink } from '../../../lib/backplane/nats/link.js'
import { join, parcels } from '../../kit/backplane-listener.js'
import { connectTo, over, REFUSED, UNAVAILABLE } from '../../kit/jetstream.js'
import { startNats } from '../../kit/nats-server.js'
import { freePort } from '../../kit/redis-server.js'

t.test('the error says why the stream cannot be joined', async (t) => {
  const port = await freePort()
  await t.rejects(join(jetStream({ servers: `localhost:${port}` })), {
    code: UNAVAILABLE,
    message: `The backplane nats at localhost:${port} cannot be used: the connection was refused`
  })
  await t.rejects(join(jetStream({ servers: ['nowhere.invalid'] })), { code: UNAVAILABLE, message: /nowhere.invalid/ })

  const bare = await startNats(t, { jetstream: false })
  if (bare === undefined) return
  await t.rejects(join(over(t, bare)), { code: UNAVAILABLE, message: /it has no JetStream; nats-server needs -js/ })

  const small = await startNats(t, {
    config: ['jetstream { max_file_store: 1MB, store_dir: "$FOLDER/small" }'],
    jetstream: false
  })
  await t.rejects(join(over(t, small!)), { code: UNAVAILABLE, message: /its storage is full|insufficient storage/ })
  await join(over(t, small!, { maxBytes: 100_000 }))
})

t.test(
  'a password, a token and permissions decide who may join and publish, and the error names what is wrong',
  async (t) => {
    const secret = 'correct horse'
    const guarded = await startNats(t, {
      config: [
        `accounts { A { jetstream: enabled, users [`,
        `{ user: ann, password: "${secret}" }`,
        `{ user: bob, password: "${secret}", permissions { publish { deny: "pylon-sse.>" } } }`,
        `{ user: eve, password: "${secret}", permissions { publish { deny: "$JS.API.STREAM.>" } } }`,
        `{ user: sam, password: "${secret}", permissions { publish { deny: "$JS.API.CONSUMER.>" } } }`,
        '] } }'
      ],
      client: { user: 'ann', pass: secret }
    })
    if (guarded === undefined) return
    const ann = over(t, guarded)
    await join(ann)
    t.equal((await ann.publish(parcels('1'))).length, 1)
    for (const wrong of [{ pass: 'wrong horse' }, { user: undefined, pass: undefined }]) {
      const error = await join(over(t, guarded, wrong as object)).catch((error: Error) => error)
      t.match(error, { code: UNAVAILABLE, message: /the user name, the password or the token is wrong or missing/ })
      t.notMatch((error as Error).message, 'horse')
    }
    const bob = over(t, guarded, { user: 'bob' })
    await join(bob)
    await t.rejects(bob.publish(parcels('2')), { code: REFUSED, message: /not the right to publish pylon-sse.events/ })
    for (const user of ['eve', 'sam']) {
      const joining = join(over(t, guarded, { user }))
      await t.rejects(joining, { code: UNAVAILABLE, message: /its user has not the right to publish \$JS/ }, user)
    }

    const token = await startNats(t, { config: [`authorization { token: "${secret}" }`], client: { token: secret } })
    await join(over(t, token!))
    await t.rejects(join(over(t, token!, { token: 'wrong' })), {
      code: UNAVAILABLE,
      message: /the token is wrong or missing/
    })
  }
)

t.test('without the packages the error says which to install', async (t) => {
  const missing = Object.assign(new Error('Cannot find package'), { code: 'ERR_MODULE_NOT_FOUND' })
  const load1 = () => loadPackage('@nats-io/jetstream', () => Promise.reject(missing))
  const link = new NatsLink(undefined, {}, () => {}, { jetstream: load1, transport: load1 as never })
  await t.rejects(link.open(), {
    message: 'the package @nats-io/jetstream is not installed (npm install @nats-io/jetstream)'
  })
  await t.rejects(
    loadPackage('x', () => Promise.reject(new SyntaxError('broken'))),
    { message: 'broken' }
  )
  await link.close()
})

t.test('a backplane that is closed while it joins does not join', async (t) => {
  const server = await startNats(t)
  if (server === undefined) return
  const connection = await connectTo(t, server)
  for (const options of [{}, { connection }]) {
    const backplane = over(t, server, options)
    const joining = join(backplane).catch((error: Error) => error)
    await backplane.close()
    t.match(await joining, { code: UNAVAILABLE, message: /it is closed/ })
    await t.rejects(join(backplane), { code: UNAVAILABLE, message: /it is closed/ })
    await t.rejects(backplane.publish(parcels('1')), { code: UNAVAILABLE, message: /it is closed/ })
  }
  t.notOk(connection.isClosed())
})

t.test('invalid options are refused at once', async (t) => {
  const servers = 'localhost'
  const connection = { status() {} } as never
  for (const [options, message] of [
    [{}, /'backplane' got neither connection nor servers/],
    [{ servers, connection }, /'backplane' got both connection and servers/],
    [{ connection: {} }, /backplane.connection/],
    [{ connection, user: 'x' }, /'backplane.user' goes with 'servers', not with a connection/],
    [{ servers: 'nats://ann:secret@localhost' }, /'backplane.servers' got something else/],
    [{ servers: 7 }, /backplane.servers/],
    [{ servers: ['a', ''] }, /backplane.servers/],
    [{ servers, stream: 'a.b' }, /backplane.stream/],
    [{ servers, stream: '' }, /backplane.stream/],
    [{ servers, subject: 'a.*' }, /backplane.subject/],
    [{ servers, subject: 'a..b' }, /backplane.subject/],
    [{ servers, maxMessages: 0 }, /backplane.maxMessages/],
    [{ servers, maxBytes: '1 MB' }, /backplane.maxBytes/],
    [{ servers, replicas: 1.5 }, /backplane.replicas/],
    [{ servers, publishTimeout: 0 }, /backplane.publishTimeout/],
    [{ servers, subjects: ['x'] }, /'backplane.subjects' does not exist; did you mean 'backplane.subject'\?/]
  ] as [JetStreamOptions, RegExp][]) {
    t.throws(() => jetStream(options), { code: 'PYLON_SSE_ERR_INVALID_OPTION', message }, JSON.stringify(options))
  }
  t.strictSame(jetStream({ servers, optional: true, maxPending: 5 }).limits, {
    optional: true,
    publishTimeout: 10_000,
    maxPending: 5,
    maxPendingBytes: 16 * 2 ** 20
  })
})
