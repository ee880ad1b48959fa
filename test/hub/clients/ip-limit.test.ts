import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { addressKey, IpLimit, type Slot } from '../../../lib/hub/clients/ip-limit.js'

function take(limit: IpLimit, ip: string | undefined): Slot {
  const slot = limit.acquire(ip)
  assert.ok(slot, `${ip} gets no slot`)
  return slot
}

t.test('an address gets its slots and no more', async (t) => {
  const limit = new IpLimit(3)
  for (let i = 0; i < 3; i++) take(limit, '192.0.2.1')
  t.equal(limit.acquire('192.0.2.1'), undefined)
  t.equal(limit.acquire('192.0.2.1'), undefined, 'nor later')
})

t.test('a slot given back is free for the next, and only one', async (t) => {
  const limit = new IpLimit(2)
  take(limit, '192.0.2.1')
  const slot = take(limit, '192.0.2.1')
  slot.release()
  take(limit, '192.0.2.1')
  t.equal(limit.acquire('192.0.2.1'), undefined)
})

t.test('a slot given back twice is given back once', async (t) => {
  const limit = new IpLimit(2)
  const slot = take(limit, '192.0.2.1')
  take(limit, '192.0.2.1')
  slot.release()
  slot.release()
  take(limit, '192.0.2.1')
  t.equal(limit.acquire('192.0.2.1'), undefined)
  slot.release()
  t.equal(limit.acquire('192.0.2.1'), undefined, 'nor does it give away the slot of the next')
})

t.test('an address that has all its slots takes none from another', async (t) => {
  const limit = new IpLimit(1)
  take(limit, '192.0.2.1')
  t.equal(limit.acquire('192.0.2.1'), undefined)
  t.ok(limit.acquire('192.0.2.2'))
  t.equal(limit.size, 2)
})

t.test('nothing is remembered of an address without slots', async (t) => {
  const limit = new IpLimit(2)
  const slots = ['192.0.2.1', '192.0.2.1', '2001:db8::1', 'unknown'].map((ip) => take(limit, ip))
  limit.acquire('192.0.2.1')
  t.equal(limit.size, 3)
  for (const slot of slots) slot.release()
  t.equal(limit.size, 0)
})

t.test('a client without an address is not limited, nor is anyone where there is no limit', async (t) => {
  const none = new IpLimit(1)
  const infinite = new IpLimit(Number.POSITIVE_INFINITY)
  for (let i = 0; i < 100; i++) {
    const slots = [take(none, undefined), take(none, ''), take(infinite, '192.0.2.1')]
    for (const slot of slots.slice(i % 3)) slot.release()
  }
  t.equal(none.size, 0)
  t.equal(infinite.size, 0)
})

t.test('slots can be counted by any key', async (t) => {
  const limit = new IpLimit(1)
  const slot = limit.acquireKey('user:1')
  t.ok(slot)
  t.equal(limit.acquireKey('user:1'), undefined)
  t.ok(limit.acquireKey('user:2'))
  t.ok(limit.acquireKey('2001:db8::1') && limit.acquireKey('2001:db8::2'), 'also an address')
  slot?.release()
  t.ok(limit.acquireKey('user:1'))
  for (let i = 0; i < 3; i++) t.ok(limit.acquireKey(undefined), 'nothing is not limited')
  t.equal(limit.size, 4)
})

t.test('addresses of one subscriber share their slots', async (t) => {
  const same: [what: string, ...ips: string[]][] = [
    ['an IPv6 /64', '2001:db8:1:2::1', '2001:db8:1:2:ffff:ffff:ffff:ffff', '2001:0DB8:0001:0002:0:0:0:9'],
    ['an IPv6 /64 of zeros', '::1', '::', '0:0:0:0:ffff::'],
    ['an IPv6 address with and without its zone', 'fe80::1', 'fe80::1%eth0', 'fe80::2%lo'],
    ['IPv4 and IPv4-mapped', '192.0.2.1', '::ffff:192.0.2.1', '::FFFF:c000:201', '0:0:0:0:0:ffff:192.0.2.1'],
    ['what is no address, as it is', 'unknown', 'unknown']
  ]
  for (const [what, first = '', ...others] of same) {
    for (const other of others) {
      const limit = new IpLimit(1)
      const slot = take(limit, first)
      t.equal(limit.acquire(other), undefined, `${what}: ${other}`)
      slot.release()
      t.ok(limit.acquire(other), `${what}: ${other} when ${first} has gone`)
    }
  }
})

t.test('addresses of different subscribers have slots of their own', async (t) => {
  const ips = [
    '192.0.2.1',
    '192.0.2.2',
    '2001:db8:1:2::1',
    '2001:db8:1:3::1',
    '2001:db8:2:2::1',
    '::1',
    '1::1',
    'unknown',
    'Unknown',
    '192.0.2.1:8080',
    '192.0.2.256',
    '2001:db8:1:2::1/64',
    '2001:db8:1:2::1::',
    '<script>',
    '__proto__'
  ]
  const limit = new IpLimit(1)
  for (const ip of ips) t.ok(limit.acquire(ip), ip)
  for (const ip of ips) t.equal(limit.acquire(ip), undefined, ip)
  t.equal(limit.size, ips.length)
})

t.test('any IPv6 addresses share their slots if their first 64 bits are equal, and only then', async () => {
  const half = fc.array(fc.oneof(fc.constantFrom(0, 1, 0xffff), fc.nat(0xffff)), { minLength: 4, maxLength: 4 })
  const written = (parts: number[]) => parts.map((part) => part.toString(16)).join(':')
  fc.assert(
    fc.property(half, half, half, fc.nat(3), fc.nat(0xffff), (prefix, host, otherHost, i, part) => {
      // IPv4-mapped addresses count as IPv4.
      fc.pre([host, otherHost].every(([a, b]) => a !== 0 || b !== 0xffff))
      const key = addressKey(written([...prefix, ...host]))
      assert.equal(addressKey(written([...prefix, ...otherHost])), key)
      const otherPrefix = prefix.with(i, part)
      assert.equal(addressKey(written([...otherPrefix, ...otherHost])) === key, prefix[i] === part)
    }),
    { numRuns: 300 }
  )
})

t.test('however slots come and go, an address can always use exactly its number', async () => {
  const ips = ['192.0.2.1', '192.0.2.2', '::ffff:192.0.2.1', '2001:db8::1', '2001:db8::2', '2001:db8:0:1::', 'unknown']
  const subscribers = ['4a', '4b', '4a', '6a', '6a', '6b', 'unknown']
  const step = fc.oneof(
    fc.record({ comes: fc.nat(ips.length - 1) }),
    // Among all slots ever taken, so that many of them are given back again and again.
    fc.record({ goes: fc.nat() })
  )
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), fc.array(step, { maxLength: 80, size: 'max' }), (max, steps) => {
      const limit = new IpLimit(max)
      const taken: { slot: Slot; subscriber: string; held: boolean }[] = []
      const used = (subscriber: string) => taken.filter((slot) => slot.held && slot.subscriber === subscriber).length
      for (const step of steps) {
        if ('comes' in step) {
          const subscriber = subscribers[step.comes]!
          const slot = limit.acquire(ips[step.comes])
          assert.equal(slot !== undefined, used(subscriber) < max, `${subscriber} holds ${used(subscriber)} of ${max}`)
          if (slot !== undefined) taken.push({ slot, subscriber, held: true })
        } else if (taken.length > 0) {
          const one = taken[step.goes % taken.length]!
          one.slot.release()
          one.held = false
        }
        assert.equal(limit.size, new Set(taken.filter((slot) => slot.held).map((slot) => slot.subscriber)).size)
      }
      for (const { slot } of taken) slot.release()
      assert.equal(limit.size, 0)
    }),
    { numRuns: 300 }
  )
})
