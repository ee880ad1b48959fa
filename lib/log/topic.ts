import { InvalidTopicError } from '../api/errors.js'

// biome-ignore lint/suspicious/noControlCharactersInRegex: a topic stands in headers, queries and engines' subjects
const CONTROL = /[\x00-\x1f\x7f]/

/** One word of a topic, whatever it is. */
const ONE = '*'
/** The rest of a topic, however many words; none, too. */
const REST = '**'

/** The matcher's settings: topics are words with dots between. */
export const MATCHER = {
  separator: '.',
  wildcard_one: ONE,
  wildcard_some: REST,
  match_empty_levels: true,
  max_words: Number.MAX_SAFE_INTEGER,
  max_wildcard_somes: 1
}

/** What a topic must be, for messages. */
export const TOPIC_TAKES = "a name without control characters, in words with '.' between, none of them '*' or '**'"
/** What a pattern must be, for messages. */
export const PATTERN_TAKES =
  "a name without control characters, in words with '.' between, where '*' stands for any one word and '**', at the end, for any more"

/** Whether an event can have this topic: text without control characters and wildcards. */
export function isTopic(topic: unknown): topic is string {
  return isName(topic) && !isWildcard(topic)
}

/** Whether a client can subscribe to this: a topic, or one with `*` for any one word, or `**` at its end. */
export function isPattern(pattern: unknown): pattern is string {
  if (!isName(pattern)) return false
  if (!pattern.includes(ONE)) return true
  const words = pattern.split('.')
  return words.every((word, i) => !word.includes(ONE) || word === ONE || (word === REST && i === words.length - 1))
}

/** Whether a pattern holds a wildcard: it matches topics that are not named in it. */
export function isWildcard(pattern: string): boolean {
  return pattern.includes(ONE)
}

/**
 * Whether `allowed` matches all that `wanted` matches. It is how a grant is read: `orders.*` grants `orders.created` and
 * itself, and neither `orders.**` nor `*`.
 */
export function covers(allowed: unknown, wanted: string): boolean {
  // One that is no pattern grants nothing: '**' amid it would be read as if it ended there.
  if (!isPattern(allowed)) return false
  const grant = allowed.split('.')
  const words = wanted.split('.')
  let i = 0
  for (; i < grant.length && i < words.length && grant[i] !== REST; i++) {
    if (words[i] === REST || (grant[i] !== ONE && grant[i] !== words[i])) return false
  }
  return grant[i] === REST || grant.length === words.length
}

/** Bounds of what a client may be subscribed to. */
export interface SubscriptionLimits {
  /** Topics and patterns. */
  readonly maxTopics: number
  /** Bytes of UTF-8 that each of them may have. */
  readonly maxTopicBytes: number
}

/** @throws InvalidTopicError where a client cannot hold these subscriptions */
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
