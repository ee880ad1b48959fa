import type { Connection } from './connection.js'

/** As `server_version_num` tells it. */
const OLDEST = 140_000

/** @throws where the server cannot keep the log: it is too old, a standby, or of another encoding */
export async function checkServer(connection: Connection): Promise<void> {
  const [row] = await connection.query(
    `select current_setting('server_version_num') as number, current_setting('server_version') as version,
      current_setting('server_encoding') as encoding, current_setting('transaction_read_only') as is_read_only`
  )
  const { number, version, encoding, is_read_only: isReadOnly } = row as Record<string, string>
  if (Number(number) < OLDEST) throw new Error(`it is Postgres ${version}; 14 or later is needed`)
  if (encoding !== 'UTF8') throw new Error(`its database has the encoding ${encoding}; UTF8 is needed`)
  if (isReadOnly === 'on') throw new Error('it takes no writes: it is a standby, or read-only')
}
