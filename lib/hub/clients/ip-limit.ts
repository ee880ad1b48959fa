import { isIPv4 } from 'node:net'
import ipaddr from 'ipaddr.js'

/** The slots that one key holds. */
interface Holder {
  readonly key: string
  used: number
}

/** A slot that is held. */
export class Slot {
  readonly #limit: IpLimit
  #holder: Holder | undefined

  constructor(limit: IpLimit, holder: Holder | undefined) {
    this.#limit = limit
    this.#holder = holder
  }

  /** Gives it back. Doing so again does nothing. */
  release(): void {
    const holder = this.#holder
    this.#holder = undefined
    if (holder !== undefined) this.#limit.giveBack(holder)
  }
}

/**
 * Slots per client address. An IPv6 address counts with its whole /64, the least that one subscriber is given (RFC
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

  /** Addresses that hold a slot now. */
  get size(): number {
    return this.#holders.size
  }

  /**
   * Takes a slot.
   *
   * @param ip the client's address; none (a unix socket) is not limited
   * @returns the slot, or `undefined` when the address holds all it may
   */
  acquire(ip: string | undefined): Slot | undefined {
    return this.acquireKey(ip ? addressKey(ip) : undefined)
  }

  /** As `acquire`, counting by anything: a user, say. */
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

  /** For `Slot`. */
  giveBack(holder: Holder): void {
    if (--holder.used === 0) this.#holders.delete(holder.key)
  }
}

/** The name under which an address is counted; text that is no address (a forged forwarding header) stands for itself. */
export function addressKey(ip: string): string {
  // As most come: there is but one way to write it that is taken for one.
  if (isIPv4(ip) || !ipaddr.isValid(ip)) return ip
  const address = ipaddr.process(ip)
  if (address.kind() === 'ipv4') return address.toString()
  return `${(address as ipaddr.IPv6).parts
    .slice(0, 4)
    .map((part) => part.toString(16))
    .join(':')}::/64`
}
