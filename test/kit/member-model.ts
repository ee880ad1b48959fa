// A naive model of clients that subscribe, are cut and come back, and the topics that they may ask for.

import { agree, type Connection, type Expected } from './expectations.js'
import type { Served } from './server.js'
import { matches } from './topic-model.js'
import { type Arrivals, asksFor } from './topics.js'
import type { Watch } from './watch.js'

export const TOPICS = ['a', 'b', 'a.x', 'a.y', 'a.x.1', 'b.z', 'a.', '__proto__']
export const PATTERNS = [...TOPICS, 'a.*', 'a.**', '*', '**', 'b.*', '*.x.*']
/** Small enough to be passed now and then: events that can be replayed, and that a client may fall behind. */
export const HISTORY = 30
export const QUEUE_DEPTH = 20
export const MEMBERS = 6

const ALWAYS = 'always'

export class MemberModel {
  /** Topics of the events of the log, number 1 first. */
  readonly #topics: (string | undefined)[] = []
  #sends = 0
  readonly #served: Served
  readonly #arrivals: Arrivals
  readonly #population: Watch
  readonly #members: { topics: Set<string>; connection?: Connection | undefined; lastEventId?: string }[] = []

  constructor(served: Served, arrivals: Arrivals, population: Watch) {
    this.#served = served
    this.#arrivals = arrivals
    this.#population = population
  }

  broadcast(topic: string | undefined, size: number): void {
    this.#topics.push(topic)
    const n = this.#topics.length
    this.#served.app.sse.broadcastMessage(`${n} ${'x'.repeat(size)}`, { topic })
    for (const { connection, topics } of this.#members) connection?.expected.push(...this.#heard(n, topics))
  }

  /** More than the history holds. */
  burst(topic: string | undefined, events: number): void {
    for (let i = 0; i < events; i++) this.broadcast(topic, 0)
  }

  async join(topics: string[]): Promise<void> {
    if (this.#members.length === MEMBERS) return
    const member = { topics: new Set(topics) }
    this.#members.push(Object.assign(member, { connection: await this.#connect(member.topics) }))
  }

  send(who: number): void {
    const connection = this.#members[who]?.connection
    if (connection === undefined) return
    const what = `own ${++this.#sends}`
    connection.client.send(what)
    connection.expected.push({ what, by: new Set([ALWAYS]) })
  }

  subscribe(who: number, topic: string): void {
    const { connection, topics } = this.#members[who] ?? {}
    if (connection === undefined) return
    connection.client.subscribe(topic)
    topics!.add(topic)
  }

  unsubscribe(who: number, topic: string): void {
    const { connection, topics } = this.#members[who] ?? {}
    if (connection === undefined) return
    connection.client.unsubscribe(topic)
    if (topics!.delete(topic)) for (const { by } of connection.expected) by.delete(topic)
  }

  pause(who: number): void {
    this.#members[who]?.connection?.reader.pause()
  }

  read(who: number): void {
    this.#members[who]?.connection?.reader.resume()
  }

  async cut(who: number): Promise<void> {
    const member = this.#members[who]
    if (member?.connection === undefined) return
    const { connection } = member
    member.connection = undefined
    await connection.reader.close()
    await this.#population.until(() => connection.client.closed || undefined, 'the server to notice')
    member.lastEventId = connection.reader.lastEventId
    agree(connection, false)
  }

  /** @param late those it subscribes to in `onConnect` alone */
  async resume(who: number, late: string[] = []): Promise<void> {
    const member = this.#members[who]
    if (member === undefined || member.connection !== undefined) return
    const asked = new Set(member.topics)
    for (const topic of late) member.topics.add(topic)
    member.connection = await this.#connect(member.topics, member.lastEventId, asked)
  }

  /** As one whose last event id is from before the server was started again. */
  async resumeForeign(who: number): Promise<void> {
    const member = this.#members[who]
    if (member?.lastEventId === undefined || member.connection !== undefined) return
    member.connection = await this.#connect(member.topics, `other-${member.lastEventId.split('-')[1]}`)
  }

  /** Lets all read what there is for them, and compares. */
  async settle(): Promise<void> {
    this.broadcast(undefined, 0)
    const last = `${this.#topics.length} `
    for (const { connection } of this.#members) {
      if (connection === undefined) continue
      connection.reader.resume()
      await connection.reader.until(({ data }) => data.startsWith(last))
      agree(connection, true)
    }
  }

  async leave(): Promise<void> {
    for (const { connection } of this.#members) await connection?.reader.close()
    const { sse } = this.#served.app
    await this.#population.until(() => sse.clientCount === 0 || undefined, 'all to have gone')
    this.#members.length = 0
  }

  async #connect(topics: Set<string>, lastEventId?: string, asked = topics): Promise<Connection> {
    const head = this.#topics.length
    const reader = await this.#served.connect({
      ...(topics.size > 0 && asksFor(...asked)),
      ...(lastEventId !== undefined && { lastEventId }),
      ...(asked !== topics && { headers: { late: [...topics].join() } })
    })
    return { reader, client: this.#arrivals.last, expected: this.#replayed(lastEventId, head, topics) }
  }

  #replayed(lastEventId: string | undefined, head: number, topics: Set<string>): Expected[] {
    const tell = (resync: string) => [{ what: `resync ${resync}`, by: new Set([ALWAYS]) }]
    if (lastEventId?.startsWith('other-')) return tell('unknown null')
    const from = lastEventId === undefined ? head : Number(lastEventId.split('-')[1])
    const heard = (after: number, upTo: number) => {
      const events: Expected[] = []
      for (let n = after + 1; n <= upTo; n++) events.push(...this.#heard(n, topics))
      return events
    }
    const floor = Math.max(from, head - HISTORY)
    if (heard(from, floor).length === 0) return heard(floor, head)
    const isCounted = this.#topics.slice(from, floor).every((topic) => topic === undefined)
    return tell(`expired ${isCounted ? heard(from, head).length : null}`)
  }

  #heard(n: number, topics: Set<string>): Expected[] {
    const topic = this.#topics[n - 1]
    const by = topic === undefined ? [ALWAYS] : [...topics].filter((pattern) => matches(pattern, topic))
    return by.length === 0 ? [] : [{ what: `${n}`, by: new Set(by) }]
  }
}
