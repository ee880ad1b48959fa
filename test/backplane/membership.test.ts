// What a membership in the log of an engine does, with an engine of the test's own.
import t from 'tap'
import type { Parcel } from '../../lib/backplane/backplane.js'
import { ContractListener } from '../../lib/backplane/contract/listener.js'
import { Membership, type Restart } from '../../lib/backplane/membership.js'

const BOUNDS = { events: 10, bytes: 1000 }
const LOADED = { floor: '0', history: [] }
const load = async () => LOADED

function joining(reportTimeout = 10_000) {
  const membership = new Membership(reportTimeout, (error) => new Error(`engine: ${(error as Error).message}`))
  const listener = new ContractListener(1000)
  return { membership, listener, joined: () => membership.join(BOUNDS, listener, load) }
}

function engine(append: (report: Parcel) => Promise<unknown>, isFinal = false): Restart<typeof LOADED> {
  return { append, isFinal: () => isFinal, load, goOnFrom() {} }
}

const refuse = () => Promise.reject(new Error('no'))

t.test('a backplane that is closed while it loads does not join', async (t) => {
  const { membership, listener } = joining()
  const closing = async () => {
    membership.close()
    return LOADED
  }
  await t.rejects(membership.join(BOUNDS, listener, closing), { message: 'it is closed' })
  membership.refuseSecondJoin()
  t.ok(membership.isClosed)
})

t.test('a backplane is joined once', async (t) => {
  const { membership, joined } = joining()
  await joined()
  t.throws(() => membership.refuseSecondJoin(), { message: /^engine: it has been joined already/ })
})

t.test(
  'a loss is reported before the log is loaded anew, and entries that were trimmed are not reported',
  async (t) => {
    const { membership, listener, joined } = joining()
    await joined()
    const reports: Parcel[] = []
    const taking = engine(async (report) => reports.push(report))
    await membership.restart('trimmed', taking)
    t.strictSame([reports.length, listener.gaps.length], [0, 1])
    await membership.restart('lost', taking)
    t.strictSame(reports, listener.losses)
    t.strictSame([reports.length, listener.gaps.length], [1, 2])
  }
)

t.test('a report that fails is tried again, and given up when it is refused or its time is over', async (t) => {
  const patient = joining()
  await patient.joined()
  await t.rejects(patient.membership.restart('lost', engine(refuse)), { message: 'no' })
  t.equal(patient.listener.gaps.length, 0)
  await patient.membership.restart('lost', engine(refuse, true))
  t.equal(patient.listener.gaps.length, 1)
  const hasty = joining(-1)
  await hasty.joined()
  await hasty.membership.restart('lost', engine(refuse))
  t.equal(hasty.listener.gaps.length, 1)
})

t.test('the listener is told of a state when it changes, between joining and closing', async (t) => {
  const { membership, listener, joined } = joining()
  membership.tell(false, new Error('early'))
  await joined()
  for (const isConnected of [true, false, false, true]) membership.tell(isConnected, new Error('lost'))
  t.strictSame(listener.states, [false, true])
  membership.close()
  membership.tell(false, new Error('late'))
  t.strictSame(listener.states, [false, true])
})
