import assert from 'node:assert/strict'
import { setTimeout as wait } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { serve } from '../../kit/server.js'
import { type Tab, Tabs } from '../../kit/tabs.js'
import { TcpProxy } from '../../kit/tcp-proxy.js'

// A model of what tabs are owed, whatever becomes of the connection that they share.

const TOPICS = ['a', 'b', undefined]
const SSE = { retry: 5, authorizeTopics: () => true, maxClientsPerIp: false } as const

type Fault =
  | { is: 'say'; topic: number; times: number }
  | { is: 'open'; topic: number }
  | { is: 'close' | 'crash' | 'freeze' | 'thaw'; tab: number }
  | { is: 'cut' | 'mend' | 'restart' | 'end' | 'hold back' }
  | { is: 'refuse'; status: number }
  | { is: 'wait'; ms: number }

const tab = fc.nat(5)
const fault: fc.Arbitrary<Fault> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ is: fc.constant('say' as const), topic: fc.nat(2), times: fc.integer({ min: 1, max: 5 }) })
  },
  { weight: 2, arbitrary: fc.record({ is: fc.constant('open' as const), topic: fc.nat(2) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      is: fc.constantFrom('close' as const, 'crash' as const, 'freeze' as const, 'thaw' as const),
      tab
    })
  },
  {
    weight: 4,
    arbitrary: fc.record({
      is: fc.constantFrom('cut' as const, 'mend' as const, 'restart' as const, 'end' as const, 'hold back' as const)
    })
  },
  {
    weight: 2,
    arbitrary: fc.record({ is: fc.constant('refuse' as const), status: fc.constantFrom(401, 429, 500, 503) })
  },
  { weight: 3, arbitrary: fc.record({ is: fc.constant('wait' as const), ms: fc.nat(30) }) }
)

/** A tab, and what it is owed: the numbers of the events, in order. */
interface Owed {
  tab: Tab
  topic: string | undefined
  owed: number[]
  /** How many of them were said before it was opened: it may begin with some of those, where the others are behind. */
  readonly before: number
  isFrozen: boolean
}

t.test(
  'whatever happens to the connection and the tabs, each tab gets its topics once and in order, or a resync',
  async (t) => {
    let server = await serve(t, { sse: SSE })
    await fc.assert(
      fc.asyncProperty(fc.array(fault, { minLength: 5, maxLength: 30 }), async (faults) => {
        const tabs = new Tabs(t)
        const proxy = await TcpProxy.to(t, server.port!)
        const answers: ((signal: AbortSignal) => Response)[] = []
        let mayBeUnauthorized = true
        const fetchOr = async (url: string, init: RequestInit) => {
          const next = answers.shift()
          if (next !== undefined) return next(init.signal!)
          const response = await fetch(url, init)
          if (response.ok) mayBeUnauthorized = true
          return response
        }
        const all: Owed[] = []
        const said: { n: number; topic: string | undefined }[] = []
        const open = async (topic: string | undefined) => {
          const options = {
            topics: topic === undefined ? [] : [topic],
            fetch: fetchOr as never,
            openTimeout: 300,
            onUnauthorized: () => {}
          }
          const one = await tabs.open(`http://127.0.0.1:${proxy.port}/events`, options as never)
          const owed = said.filter((event) => event.topic === undefined || event.topic === topic).map(({ n }) => n)
          all.push({ tab: one, topic, owed, before: owed.length, isFrozen: false })
        }
        let n = 0
        const say = (topic: string | undefined) => {
          said.push({ n: ++n, topic })
          for (const one of all) if (topic === undefined || topic === one.topic) one.owed.push(n)
          server.app.sse.broadcast(n, { topic })
        }
        const endClients = () => {
          for (const client of server.app.sse.clients) client.close()
        }
        const take = (i: number) => (all.length > 1 ? all[i % all.length] : undefined)
        const trace: string[] = []
        try {
          await open('a')
          await open('b')
          let isCut = false
          for (const fault of faults) {
            trace.push(JSON.stringify(fault))
            if (fault.is === 'say') for (let i = 0; i < fault.times; i++) say(TOPICS[fault.topic])
            else if (fault.is === 'wait') await wait(fault.ms)
            else if (fault.is === 'cut') {
              proxy.cut()
              isCut = true
            } else if (fault.is === 'mend') {
              proxy.mend()
              isCut = false
            } else if (fault.is === 'end') endClients()
            else if (fault.is === 'restart') {
              // With a log of its own.
              server = await serve(t, { sse: SSE })
              proxy.leadTo(server.port!)
              proxy.cut()
              if (!isCut) proxy.mend()
            } else if (fault.is === 'hold back') {
              answers.push((signal) => {
                const body = new ReadableStream({
                  start: (controller) => signal.addEventListener('abort', () => controller.error(signal.reason))
                })
                return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
              })
              endClients()
            } else if (fault.is === 'refuse') {
              if (fault.status === 401 && !mayBeUnauthorized) continue
              if (fault.status === 401) mayBeUnauthorized = false
              answers.push(() => new Response(null, { status: fault.status, headers: { 'retry-after': '0' } }))
              endClients()
            } else if (fault.is === 'open') {
              if (isCut || all.length >= 5 || all.every(({ isFrozen }) => isFrozen)) continue
              await open(TOPICS[fault.topic])
            } else if ('tab' in fault) {
              const one = take(fault.tab)
              if (one === undefined) continue
              if (fault.is === 'freeze') {
                one.tab.freeze()
                one.isFrozen = true
              } else if (fault.is === 'thaw') {
                one.tab.thaw()
                one.isFrozen = false
              } else {
                all.splice(all.indexOf(one), 1)
                if (fault.is === 'close') one.tab.live.connection.close()
                else one.tab.crash()
                check(one)
              }
            }
          }
          proxy.mend()
          for (const one of all) one.tab.thaw()
          // What is said before a tab has found the other server is told by a resync alone.
          const first = n + 1
          const isBack = ({ tab }: Owed) => tab.live.events.some(({ data }) => (data as number) >= first)
          const deadline = Date.now() + 20_000
          while (!all.every(isBack) && Date.now() < deadline) {
            say(undefined)
            await wait(20)
          }
          for (const { tab } of all) await tab.live.until(n)
          for (const one of all) {
            check(one)
            assert.equal(one.tab.live.events.filter(({ event }) => event === 'message').at(-1)!.data, n)
          }
        } catch (error) {
          const heard = all.map(({ tab, topic, owed }) => ({ topic, owed, heard: tab.live.events, role: tab.role }))
          ;(error as Error).message += `\n${trace.join('\n')}\n${JSON.stringify(heard)}`
          throw error
        } finally {
          for (const { tab } of all) tab.live.connection.close()
          proxy.cut()
        }
      }),
      { numRuns: Number(process.env.RUNS ?? 25), endOnFailure: true }
    )
  }
)

/** Once and in order; where it has been told of a gap, it may begin anew anywhere. */
function check({ tab, owed, before }: Owed): void {
  let at = 0
  let mayGap = false
  for (const { event, data } of tab.live.events) {
    if (event === 'resync') {
      mayGap = true
      continue
    }
    const found = owed.indexOf(data as number)
    assert.ok(found >= 0, `${data} is none of its own`)
    assert.ok(found >= at || mayGap, `${data} has come twice, or late`)
    const isFirst = at === 0 && found <= before
    assert.ok(found === at || mayGap || isFirst, `${owed[at]} is missing before ${data}, and nobody says so`)
    at = found + 1
    mayGap = false
  }
}
