import { join as joinPath } from 'node:path'
import t from 'tap'
import { postgres } from '../../../lib/backplane/postgres/postgres.js'
import { requireBinary } from '../../kit/binary.js'
import { certificate } from '../../kit/certificate.js'
import { startPostgres } from '../../kit/postgres-server.js'
import { publish, startProcess } from '../../kit/processes.js'

t.test('the password and TLS settings of the connection string are used', async (t) => {
  if (requireBinary(t, 'openssl') === undefined) return
  const tls = await certificate()
  const server = await startPostgres(t, {
    tls,
    config: ['ssl = on'],
    access: [
      'local all all trust',
      'hostssl all secured 127.0.0.1/32 scram-sha-256',
      'host all postgres 127.0.0.1/32 trust'
    ]
  })
  if (server === undefined) return
  await server.admin.query(`create role secured login superuser password 'right'`)
  const at = (password: string, parameters: string) =>
    postgres({
      connectionString: `postgres://secured:${password}@localhost:${server.port}/postgres?${parameters}`,
      migrate: true
    })
  const trusting = `sslmode=verify-full&sslrootcert=${joinPath(server.data, 'server.crt')}`
  const process = await startProcess(t, at('right', trusting))
  await publish(process, 1, 1)
  for (const [password, parameters, reason] of [
    ['wrong', trusting, /the user or the password is wrong/],
    ['right', 'sslmode=disable', /no pg_hba\.conf entry/],
    ['right', 'sslmode=verify-full', /self.signed certificate/]
  ] as const) {
    const failure = await startProcess(t, at(password, parameters)).catch((error: Error) => error)
    t.match((failure as Error).message, reason)
    t.notMatch((failure as Error).message, /right|wrong@/)
  }
})
