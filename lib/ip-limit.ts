import ipaddr from 'ipaddr.js'

/** Gives a slot back. Calling it again does nothing. */
export type Release = () => void

/**
 * Slots per client address. An IPv6 address counts with its whole /64, the least that one subscriber is given (RFC
 * 6177), and an IPv4-mapped one (RFC 4291, 2.5.5.2) as IPv4.
 */
export class IpLimit {
  readonly #max: number
  readonly #used = new Map<string, number>()

  /** @param max slots an address may hold at once; `Infinity` for no limit */
  constructor(max: number) {
    this.#max = max
  }

  /** Addresses that hold a slot now. */
  get size(): number {
    return this.#used.size
  }

  /**
   * Takes a slot.
   *
   * @param ip the client's address; none (a unix socket) is not limited
   * @returns the slot's release, or `undefined` when the address holds all it may
   */
  acquire(ip: string | undefined): Release | undefined {
    return this.acquireKey(ip ? addressKey(ip) : undefined)
  }

  /** As `acquire`, counting by anything: a user, say. */
  acquireKey(key: string | undefined): Release | undefined {
    if (key === undefined || this.#max === Number.POSITIVE_INFINITY) return () => {}
    const used = this.#used.get(key) ?? 0
    if (used >= this.#max) return undefined
    this.#used.set(key, used + 1)
    let held = true
    return () => {
      if (!held) return
      held = false
      const left = this.#used.get(key)! - 1
      if (left === 0) this.#used.delete(key)
      else this.#used.set(key, left)
    }
  }
}

/** The name under which an address is counted; text that is no address (a forged forwarding header) stands for itself. */
export function addressKey(ip: string): string {
  if (!ipaddr.isValid(ip)) return ip
  const address = ipaddr.process(ip)
  if (address.kind() === 'ipv4') return address.toString()
  return `${(address as ipaddr.IPv6).parts
    .slice(0, 4)
    .map((part) => part.toString(16))
    .join(':')}::/64`
}
