import t from 'tap'
import { connectTo } from '../../../lib/backplane/postgres/connection.js'
import { isAbsence, isPassing, isRefusal, reasonOf } from '../../../lib/backplane/postgres/errors.js'
import { addressOf } from '../../../lib/backplane/postgres/options.js'
import { openAt } from '../../../lib/backplane/postgres/pglite.js'
import { type PostgresOptions, postgres } from '../../../lib/backplane/postgres/postgres.js'
import { decodeRow, encodeRow } from '../../../lib/backplane/postgres/stored-message.js'

const connectionString = 'postgres://user:secret@localhost/app'
const pool = { connect: () => Promise.reject(new Error('none')) }

t.test('invalid options are refused by name', async (t) => {
  const wrong: [options: unknown, names: RegExp][] = [
    [{}, /backplane.*neither pool, connectionString, pglite nor dataDir/],
    [{ connectionString, pool }, /backplane.*both pool and connectionString/],
    [{ connectionString, pool, dataDir: 'x' }, /backplane.* got pool and connectionString and dataDir/],
    [{ pool: {} }, /backplane\.pool/],
    [{ connectionString: 'http://user:secret@localhost' }, /backplane\.connectionString/],
    [{ pglite: {} }, /backplane\.pglite/],
    [{ dataDir: '' }, /backplane\.dataDir/],
    [{ dataDir: 'x', listen: connectionString }, /backplane\.listen/],
    [{ connectionString: 7 }, /backplane\.connectionString/],
    [{ connectionString, listen: 'no' }, /backplane\.listen/],
    [{ connectionString, migrate: 'yes' }, /backplane\.migrate.*true or false/],
    [{ connectionString, schema: 'Drop Table' }, /backplane\.schema.*Drop Table/],
    [{ connectionString, maxEvents: 0 }, /backplane\.maxEvents.*0.*from 1/],
    [{ connectionString, maxAge: 0.5 }, /backplane\.maxAge.*0\.5/],
    [{ connectionString, pollInterval: -1 }, /backplane\.pollInterval.*-1/],
    [{ connectionString, publishTimeout: 0 }, /backplane\.publishTimeout/],
    [{ connectionString, maxEvent: 7 }, /backplane\.maxEvent.*maxEvents/]
  ]
  for (const [options, names] of wrong) {
    t.throws(() => postgres(options as PostgresOptions), { code: 'PYLON_SSE_ERR_INVALID_OPTION', message: names })
    try {
      postgres(options as PostgresOptions)
    } catch (error) {
      t.notMatch((error as Error).message, /secret/)
    }
  }
})

t.test('an address names the server and the database, and no password', async (t) => {
  t.equal(addressOf({ connectionString, pool: undefined }), 'localhost/app')
  t.equal(addressOf({ connectionString: 'postgres:///app?host=/run', pool: undefined }), 'its socket/app')
  t.equal(addressOf({ dataDir: './data' }), './data')
  t.equal(addressOf({ pglite: {} as never }), 'PGlite')
  const poolOf = (options?: object) => ({ connectionString: undefined, pool: { ...pool, ...(options && { options }) } })
  t.equal(addressOf(poolOf({ connectionString })), 'localhost/app')
  t.equal(addressOf(poolOf({ host: 'db', database: 'app' })), 'db:5432/app')
  t.equal(addressOf(poolOf({ host: 'db', port: 6432 })), 'db:6432/')
  t.equal(addressOf(poolOf()), 'the address of the pool')
})

t.test('without the package pg the error says what to install', async (t) => {
  const missing = Object.assign(new Error('no such package'), { code: 'ERR_MODULE_NOT_FOUND' })
  await t.rejects(
    connectTo(connectionString, () => Promise.reject(missing))(() => {}),
    /npm install pg/
  )
  await t.rejects(
    connectTo(connectionString, () => Promise.reject(new Error('broken')))(() => {}),
    /broken/
  )
  await t.rejects(
    openAt('./data', () => Promise.reject(missing))(() => {}),
    /npm install @electric-sql\/pglite/
  )
  await t.rejects(
    openAt('./data', () => Promise.reject(new Error('broken')))(() => {}),
    /broken/
  )
})

t.test('the message of the server is passed on, with an explanation if there is one', async (t) => {
  const errorOf = (code: string | undefined, message = 'words of the server') =>
    Object.assign(new Error(message), { code })
  t.equal(reasonOf(errorOf('53100')), 'its disk is full: words of the server')
  t.equal(reasonOf(errorOf('22P05')), 'it does not take what the event holds: words of the server')
  t.equal(reasonOf(errorOf('ECONNREFUSED')), 'the connection was refused')
  t.equal(reasonOf(errorOf('XX000')), 'words of the server')
  t.equal(reasonOf(errorOf(undefined)), 'words of the server')
  t.ok(isRefusal(errorOf('42501')))
  t.notOk(isRefusal(errorOf('40001')))
  t.ok(isPassing(errorOf('40P01')))
  t.notOk(isPassing(errorOf(undefined)))
  t.ok(isAbsence(errorOf('42P01')))
  t.notOk(isAbsence(errorOf(undefined)))
})

t.test('a body that only looks encoded is left as it is', async (t) => {
  const body = 'data: 1\n\n'
  t.match(decodeRow({ labels: '{"topic":"\\"encoding\\":\\"base64\\""}', body }), { body })
  t.match(decodeRow({ labels: '{"x":{"encoding":"base64"}}', body }), { body })
})

t.test('a body with a NUL, which Postgres does not allow in text, is stored encoded', async (t) => {
  for (const message of [
    { kind: 'event', body: 'data: \0ä\n\n' },
    { kind: 'event', body: 'data: \0\n\n', topic: 'a', isText: true }
  ] as const) {
    const row = encodeRow(message)
    t.notMatch(row.body, /\0/)
    t.match(decodeRow(row), message)
  }
})
