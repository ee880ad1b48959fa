// The check of a server's version, encoding and role, made on each new connection.

import type { Connection } from './connection.js'

/** The oldest version that is supported, as in `server_version_num`. */
const OLDEST = 140_000

/** @throws Error if the server cannot keep the log: it is too old, read-only, or its database is not in UTF-8 */
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
