import assert from 'node:assert/strict'
import fc from 'fast-check'
import qlobber from 'qlobber'
import t from 'tap'
import { checkSubscriptions, covers, isPattern, isTopic, isWildcard, MATCHER } from '../../lib/log/topic.js'
import { matches } from '../kit/topic-model.js'

const TOPICS = [
  'a',
  'orders',
  'orders.created',
  'user:42',
  'a.b.c',
  'a..b',
  '.',
  'a.',
  ' ',
  'ü.😀',
  '\u2028',
  '__proto__'
]
const WITH_WILDCARDS = ['*', '**', 'orders.*', '*.created', 'a.*.c', '*.*', 'orders.**', '*.**', 'a..*', '.**']
const NEITHER = [
  'a*',
  '*a',
  'a.b*.c',
  '***',
  '* ',
  '**.a',
  'a.**.b',
  '**.**',
  '**.*',
  'a.**.',
  '',
  'a\nb',
  'a\rb',
  '\0',
  'a\tb',
  'a\x7f',
  'a\x1f.*'
]
const NO_TEXT = [undefined, null, 5, ['a'], { toString: () => 'a' }, Symbol('a')]

/** As the name of an assertion, on one line. */
function escaped(name: string): string {
  return encodeURI(name)
}

t.test('an event can have a topic of any words without wildcards', async (t) => {
  for (const topic of TOPICS) t.ok(isTopic(topic), escaped(topic))
  for (const name of [...WITH_WILDCARDS, ...NEITHER]) t.notOk(isTopic(name), escaped(name))
  for (const value of NO_TEXT) t.notOk(isTopic(value), String(value))
})

t.test('a client can subscribe to a topic, to * for one word of it, and to ** for the rest of it', async (t) => {
  for (const pattern of [...TOPICS, ...WITH_WILDCARDS]) t.ok(isPattern(pattern), escaped(pattern))
  for (const name of NEITHER) t.notOk(isPattern(name), escaped(name))
  for (const value of NO_TEXT) t.notOk(isPattern(value), String(value))
})

t.test('a pattern is a wildcard unless it is a topic', async (t) => {
  t.strictSame([...TOPICS, ...WITH_WILDCARDS].filter(isWildcard), WITH_WILDCARDS)
})

/** All names of so many words, of these. */
function namesOf(words: readonly string[], count: number): string[] {
  let names = [...words]
  for (let i = 1; i < count; i++) names = names.flatMap((name) => words.map((word) => `${name}.${word}`))
  return names
}

/** Enough to tell any two of the patterns apart: of a word more than they have, and with a word that none of them has. */
const UNIVERSE = [1, 2, 3, 4].flatMap((count) => namesOf(['a', 'b', '', 'z'], count)).filter(isTopic)
const ALL_PATTERNS = [1, 2, 3].flatMap((count) => namesOf(['a', 'b', '', '*', '**'], count)).filter(isPattern)

function matched(pattern: string, topics: readonly string[]): string[] {
  const matcher = new qlobber.QlobberTrue(MATCHER).add(pattern)
  return topics.filter((topic) => matcher.test(topic))
}

t.test('the matcher takes * for one word and ** for any number of them, none too', async (t) => {
  t.strictSame(matched('orders.*', ['orders', 'orders.created', 'orders.created.eu', 'order.created', 'orders.']), [
    'orders.created',
    'orders.'
  ])
  t.strictSame(matched('orders.**', ['orders', 'orders.created', 'orders.created.eu', 'ordersx', 'order']), [
    'orders',
    'orders.created',
    'orders.created.eu'
  ])
  for (const pattern of ALL_PATTERNS) {
    const expected = UNIVERSE.filter((topic) => matches(pattern, topic))
    assert.deepEqual(matched(pattern, UNIVERSE), expected, pattern)
  }
})

t.test('a topic may have as many words as fit', async (t) => {
  const long = new Array(1000).fill('a').join('.')
  t.strictSame(matched('a.**', [long]), [long])
  t.strictSame(matched(long, [long, `${long}.a`]), [long])
  t.strictSame(matched(long.replace(/a$/, '*'), [long]), [long])
})

t.test('a grant covers what it matches, and no wildcard that reaches further', async (t) => {
  const grants: [grant: string, covered: string[], not: string[]][] = [
    ['orders', ['orders'], ['*', '**', 'orders.*', 'orders.**', 'orders.created', 'order']],
    ['orders.*', ['orders.created', 'orders.*'], ['orders', 'orders.**', '*', '**', '*.*', '*.created', 'orders.a.b']],
    ['orders.**', ['orders', 'orders.*', 'orders.**', 'orders.a.b', 'orders.*.b', 'orders.*.**'], ['*', '**', '*.**']],
    ['*', ['orders', '*', ' '], ['**', 'orders.**', 'orders.*', 'orders.created']],
    ['*.created', ['orders.created', '*.created'], ['*.*', '*', '**', 'orders.*', 'orders.created.**']],
    ['**', ['orders', '*', '**', '*.**', 'orders.*.created', 'orders.**'], []]
  ]
  for (const [grant, covered, not] of grants) {
    t.strictSame(
      [...covered, ...not].filter((wanted) => covers(grant, wanted)),
      covered,
      grant
    )
  }
})

t.test('a grant covers a pattern if it matches all that the pattern matches, and only then', async (t) => {
  const reach = new Map(ALL_PATTERNS.map((pattern) => [pattern, new Set(matched(pattern, UNIVERSE))]))
  const wrong: string[] = []
  for (const [grant, granted] of reach) {
    for (const [wanted, asked] of reach) {
      const isWithin = [...asked].every((topic) => granted.has(topic))
      if (covers(grant, wanted) !== isWithin) wrong.push(`${grant} for ${wanted}`)
    }
  }
  // No topic is empty, so that these would reach as far; to refuse is the safe side.
  t.strictSame(wrong, ['*.** for **', '.*.** for .**', '*.*.** for .**'])
})

t.test('whatever the words, a grant covers no pattern that matches a topic beyond it', async () => {
  const word = fc.constantFrom('a', 'b', 'orders', '')
  const words = fc.array(fc.oneof({ weight: 2, arbitrary: word }, fc.constant('*')), { minLength: 1, maxLength: 6 })
  const patternOf = (words: string[], hasRest: boolean) => [...words, ...(hasRest ? ['**'] : [])].join('.')
  let covered = 0
  fc.assert(
    fc.property(
      words,
      fc.boolean(),
      // A grant that is near what is asked for: some of its words made wildcards, or cut off.
      fc.array(fc.tuple(fc.nat(5), fc.constantFrom('*', 'a')), { maxLength: 3 }),
      fc.nat(6),
      fc.boolean(),
      fc.array(word, { minLength: 6, maxLength: 9 }),
      fc.nat(3),
      (wantedWords, hasRest, changes, kept, grantsRest, fill, tail) => {
        const wanted = patternOf(wantedWords, hasRest)
        fc.pre(isPattern(wanted))
        const grantWords = [...wantedWords]
        for (const [at, to] of changes) if (at < grantWords.length) grantWords[at] = to
        const grant = patternOf(grantWords.slice(0, Math.max(1, kept)), grantsRest)
        fc.pre(isPattern(grant))
        const topic = [
          ...wantedWords.map((word, i) => (word === '*' ? fill[i]! : word)),
          ...(hasRest ? fill.slice(6, 6 + tail) : [])
        ].join('.')
        fc.pre(isTopic(topic))
        assert.deepEqual(matched(wanted, [topic]), [topic])
        if (!covers(grant, wanted)) return
        covered++
        assert.deepEqual(matched(grant, [topic]), [topic], `${grant} covers ${wanted}`)
      }
    ),
    { numRuns: 2000 }
  )
  assert.ok(covered > 200, `${covered}`)
})

t.test('a grant that is no pattern grants nothing', async (t) => {
  for (const grant of ['orders.**.read', '**.a', 'a*', '', 'a\nb', undefined, null, 1, {}]) {
    for (const wanted of ['orders.secret', 'orders.**', 'orders.x.read', '**', 'a', 'ab', '']) {
      t.equal(covers(grant, wanted), false, `${String(grant)} for ${wanted}`)
    }
  }
})

t.test('what is no text is refused as a topic, whatever it is', async (t) => {
  const limits = { maxTopics: 10, maxTopicBytes: 10 }
  for (const topic of [Object.create(null), 1, null, { toString: 1 }]) {
    t.throws(() => checkSubscriptions(new Set([topic]), limits), {
      code: 'PYLON_SSE_ERR_INVALID_TOPIC',
      statusCode: 400
    })
  }
})
