// A naive model of topics and patterns, to compare lib/log/topic.ts with.

import fc from 'fast-check'

/** Whether a pattern matches a topic, written without a thought for speed. */
export function matches(pattern: string, topic: string): boolean {
  return matchesWords(pattern.split('.'), topic.split('.'))
}

function matchesWords([pattern, ...patterns]: string[], [word, ...words]: string[]): boolean {
  if (pattern === '**') return true
  if (pattern === undefined || word === undefined) return pattern === word
  return (pattern === '*' || pattern === word) && matchesWords(patterns, words)
}

/** Whether subscriptions let an event in, by its topic. */
export function hears(subscriptions: Iterable<string>, topic: string | undefined): boolean {
  return topic === undefined || [...subscriptions].some((pattern) => matches(pattern, topic))
}

/** Topics and patterns of words so few that they often meet. */
export const TOPICS: readonly string[] = ['a', 'b', 'a.a', 'a.b', 'b.a', 'a.b.a', 'a.b.b', 'a..b', '.a', 'toString']
export const PATTERNS: readonly string[] = [...TOPICS, '*', '**', 'a.*', 'a.**', '*.b', '*.*', 'a.*.**', '.*', 'a.b.**']

export const someTopic: fc.Arbitrary<string> = fc.constantFrom(...TOPICS)
export const anyTopic: fc.Arbitrary<string | undefined> = fc.option(someTopic, { nil: undefined })
export const somePatterns: fc.Arbitrary<string[]> = fc.array(fc.constantFrom(...PATTERNS), { maxLength: 4 })
