// Publishes to the log in a folder until it is killed, and tells each cursor that was acknowledged.
import { postgres } from '../../lib/backplane/postgres/postgres.js'
import { join, parcels } from './backplane-listener.js'

const [dataDir] = process.argv.slice(2)
const backplane = postgres({ dataDir })
await join(backplane)
for (let n = 1; ; n++) {
  const [parcel] = parcels(`data: ${n}\n\n`)
  const [cursor] = await backplane.publish([{ ...parcel!, messageId: `message:${n}` }])
  process.send!(cursor)
}
