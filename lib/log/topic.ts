// Topics and patterns: what they may look like, and which pattern covers which. Matching topics is done by qlobber
// (audience.ts) and topic-tree.ts.

import { InvalidTopicError } from '../api/errors.js'

// biome-ignore lint/suspicious/noControlCharactersInRegex: a topic stands in headers, queries and engines' subjects
const CONTROL = /[\x00-\x1f\x7f]/

/** Matches any one word. */
const ONE = '*'
/** Matches the rest of a topic: any number of words, also none. */
const REST = '**'

/** Settings of qlobber: topics are words with dots in between. */
export const MATCHER = {
  separator: '.',
  wildcard_one: ONE,
  wildcard_some: REST,
  match_empty_levels: true,
  max_words: Number.MAX_SAFE_INTEGER,
  max_wildcard_somes: 1
}

/** What a topic must be, for error messages. */
export const TOPIC_TAKES = "a name without control characters, in words with '.' between, none of them '*' or '**'"
/** What a pattern must be, for error messages. */
export const PATTERN_TAKES =
  "a name without control characters, in words with '.' between, where '*' stands for any one word and '**', at the end, for any more"

/** Whether an event can have this topic: text without control characters and wildcards, not empty. */
export function isTopic(topic: unknown): topic is string {
  return isName(topic) && !isWildcard(topic)
}

/**
 * Whether a client can subscribe to this: a topic, or a pattern with `*` for any one word, or `**` at its end for any
 * number of words.
 */
export function isPattern(pattern: unknown): pattern is string {
  if (!isName(pattern)) return false
  if (!pattern.includes(ONE)) return true
  const words = pattern.split('.')
  return words.every((word, i) => !word.includes(ONE) || word === ONE || (word === REST && i === words.length - 1))
}

/** Whether a pattern has a wildcard, and so matches more than one topic. */
export function isWildcard(pattern: string): boolean {
  return pattern.includes(ONE)
}

/**
 * Whether `allowed` matches every topic that `wanted` matches. Grants of `authorizeTopics` are read this way:
 * `orders.*` grants `orders.created` and `orders.*`, but neither `orders.**` nor `*`.
 */
export function covers(allowed: unknown, wanted: string): boolean {
  // What is not a valid pattern grants nothing: a '**' in its middle would otherwise be read as its end.
  if (!isPattern(allowed)) return false
  const grant = allowed.split('.')
  const words = wanted.split('.')
  let i = 0
  for (; i < grant.length && i < words.length && grant[i] !== REST; i++) {
    if (words[i] === REST || (grant[i] !== ONE && grant[i] !== words[i])) return false
  }
  return grant[i] === REST || grant.length === words.length
}

/** Limits of a client's subscriptions. */
export interface SubscriptionLimits {
  /** Number of topics and patterns. */
  readonly maxTopics: number
  /** Size of each of them in UTF-8, bytes. */
  readonly maxTopicBytes: number
}

/** @throws InvalidTopicError if a client cannot have these subscriptions */
export function checkSubscriptions(topics: ReadonlySet<unknown>, limits: SubscriptionLimits): void {
  const { maxTopics, maxTopicBytes } = limits
  if (topics.size > maxTopics) throw new InvalidTopicError(`${topics.size} topics`, `${maxTopics} at most`)
  for (const topic of topics) {
    if (!isPattern(topic))
      throw new InvalidTopicError(
        typeof topic === 'string' ? JSON.stringify(topic.slice(0, 64)) : `a value of type ${typeof topic}`,
        PATTERN_TAKES
      )
    const bytes = Buffer.byteLength(topic)
    if (bytes > maxTopicBytes)
      throw new InvalidTopicError(`a topic of ${bytes} bytes`, `${maxTopicBytes} bytes at most`)
  }
}

function isName(name: unknown): name is string {
  return typeof name === 'string' && name !== '' && !CONTROL.test(name)
}
