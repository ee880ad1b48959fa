// Types of qlobber, which ships none: the parts that audience.ts uses.

declare module 'qlobber' {
  interface QlobberOptions {
    separator?: string
    wildcard_one?: string
    wildcard_some?: string
    match_empty_levels?: boolean
    max_words?: number
    max_wildcard_somes?: number
  }
  /** Values by pattern; each value is matched once, however many of its patterns match. */
  export class QlobberDedup<Value> {
    constructor(options?: QlobberOptions)
    add(pattern: string, value: Value): this
    remove(pattern: string, value: Value): this
    match(topic: string): Set<Value>
  }
  /** Patterns alone. */
  export class QlobberTrue {
    constructor(options?: QlobberOptions)
    add(pattern: string): this
    test(topic: string): boolean
  }
}
