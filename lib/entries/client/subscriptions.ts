// The topics that the server has subscribed the client to. The topics that the app wants are in topics.ts.

/** The topics of a connection as far as the server knows them. */
export class Subscriptions {
  readonly wanted: ReadonlySet<string>
  /** The parameter of the stream that has the server tell its subscriptions. */
  readonly tell: string | undefined
  /** The topics that the client has requested. Some of them may no longer be wanted. */
  asked = new Set<string>()
  /** The topics that the app on the server has subscribed the client to. Empty without `tell`. */
  readonly given = new Set<string>()
  /** Topics that have been requested since the connection is open, until the server tells that the client is subscribed to them. */
  readonly added = new Set<string>()

  constructor(wanted: ReadonlySet<string>, tell?: string) {
    this.wanted = wanted
    this.tell = tell
  }

  /** @returns the topics for the request of a new connection, which begins with none but those */
  ask(): Set<string> {
    this.asked = new Set(this.wanted)
    this.given.clear()
    this.added.clear()
    return this.asked
  }

  /** The server has told that the client has been subscribed to a topic, or unsubscribed. */
  told(topic: string, isSubscribed: boolean): void {
    if (!isSubscribed) this.given.delete(topic)
    else if (!this.added.delete(topic)) this.given.add(topic)
  }
}
