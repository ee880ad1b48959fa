// `maxClientsPerIp`: slots by client address, or by the key that `limitBy` returns. Who acquires one is decided in
// routes/admission.ts.

import { isIPv4 } from 'node:net'
import ipaddr from 'ipaddr.js'

/** A key, and the number of slots that it holds. */
interface Holder {
  readonly key: string
  used: number
}

/** A slot that has been acquired. */
export class Slot {
  readonly #limit: IpLimit
  #holder: Holder | undefined

  constructor(limit: IpLimit, holder: Holder | undefined) {
    this.#limit = limit
    this.#holder = holder
  }

  /** Returns the slot. Has no effect if it has been returned. */
  release(): void {
    const holder = this.#holder
    this.#holder = undefined
    if (holder !== undefined) this.#limit.giveBack(holder)
  }
}

/**
 * Slots per client address. An IPv6 address counts by its /64, the smallest prefix that a subscriber is given (RFC
 * 6177), and an IPv4-mapped one (RFC 4291, 2.5.5.2) as IPv4.
 */
export class IpLimit {
  readonly #max: number
  readonly #holders = new Map<string, Holder>()
  readonly #unlimited = new Slot(this, undefined)

  /** @param max slots an address may hold at once; `Infinity` for no limit */
  constructor(max: number) {
    this.#max = max
  }

  /** Number of keys that hold a slot. */
  get size(): number {
    return this.#holders.size
  }

  /**
   * Acquires a slot.
   *
   * @param ip the client's address; without one (unix socket) there is no limit
   * @returns the slot, or undefined if the address holds as many as it may
   */
  acquire(ip: string | undefined): Slot | undefined {
    return this.acquireKey(ip ? addressKey(ip) : undefined)
  }

  /** Like `acquire`, for any key, such as the id of a user. */
  acquireKey(key: string | undefined): Slot | undefined {
    if (key === undefined || this.#max === Number.POSITIVE_INFINITY) return this.#unlimited
    let holder = this.#holders.get(key)
    if (holder === undefined) {
      holder = { key, used: 0 }
      this.#holders.set(key, holder)
    }
    if (holder.used >= this.#max) return undefined
    holder.used++
    return new Slot(this, holder)
  }

  /** Called by `Slot.release`. */
  giveBack(holder: Holder): void {
    if (--holder.used === 0) this.#holders.delete(holder.key)
  }
}

/**
 * Returns the key that an address counts by. Text that is not an address (a forged forwarding header) is its own key.
 */
export function addressKey(ip: string): string {
  // The usual case. `isIPv4` accepts only one way to write an address, so no other notation needs to be normalised.
  if (isIPv4(ip) || !ipaddr.isValid(ip)) return ip
  const address = ipaddr.process(ip)
  if (address.kind() === 'ipv4') return address.toString()
  return `${(address as ipaddr.IPv6).parts
    .slice(0, 4)
    .map((part) => part.toString(16))
    .join(':')}::/64`
}
