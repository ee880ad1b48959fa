// Losses of real engines: what clients get when an engine's log goes back in time, or is replaced. Faults that lose
// nothing are in backplane-faults.ts.

import type { Test } from 'tap'
import {
  dataOf,
  type Engine,
  eventually,
  LONG,
  type Process,
  publish,
  range,
  startProcess,
  startProcesses,
  waitForEvents
} from './backplane-faults.js'
import { resyncOf } from './numbered.js'
import type { SseClient } from './sse-client.js'
import { TcpProxy } from './tcp-proxy.js'

/** A real engine whose log a test takes back in time. */
export interface ForgetfulEngine extends Engine {
  /** Makes a backup of what it has. */
  keep(): Promise<void>
  /** Kills it, and starts it with the backup: what it got since is lost. */
  restore(): Promise<void>
}

const LOST = { reason: 'backplane', missed: null }

/** What a process tells a client first that comes with an id: of a resync its reason, of an event its data. */
async function answerTo({ connect }: Process, lastEventId: string): Promise<string> {
  const client = await connect({ lastEventId })
  const event = await client.next(LONG)
  await client.close()
  return resyncOf(event)?.reason ?? event.data
}

/** Of these ids those that a process takes for good, although what followed them is lost, with what it answered. */
async function taken(process: Process, ids: readonly string[]): Promise<string[]> {
  const answers = await Promise.all(ids.map(async (id) => ({ id, answer: await answerTo(process, id) })))
  return answers
    .filter(({ answer }) => !['expired', 'unknown'].includes(answer))
    .map(({ id, answer }) => `${id}: ${answer}`)
}

function idsOf({ events }: SseClient): string[] {
  return events.map(({ id }) => id!)
}

async function waitForResync(client: SseClient): Promise<string> {
  return (await client.until((event) => resyncOf(event)?.reason === LOST.reason, LONG)).id!
}

/** One after another, so that each has a message of its own. */
async function publishEach(process: Process, from: number, to: number): Promise<void> {
  for (const n of range(from, to)) await publish(process, n, n)
}

type Start = (t: Test) => Promise<ForgetfulEngine | undefined>

function withEngine(t: Test, start: Start) {
  return (title: string, run: (t: Test, engine: ForgetfulEngine) => Promise<void>) =>
    t.test(title, async (t) => {
      const engine = await start(t)
      if (engine !== undefined) await run(t, engine)
    })
}

/** What must hold for ids of what an engine has lost. */
export function testLostIds(t: Test, start: Start): void {
  const test = withEngine(t, start)

  test('whoever was away when the engine lost its newest events is told, on every process, once and again', async (t, engine) => {
    const [dying, survivor] = await startProcesses(t, engine, 2)
    const [gone, client] = [await dying.connect(), await survivor.connect()]
    const origin = await gone.waitForId()
    await publish(survivor, 1, 5)
    await waitForEvents([gone, client], 5)
    await engine.keep()
    await publish(survivor, 6, 10)
    await waitForEvents([gone, client], 10)
    await dying.app.close()
    const old = [origin, ...idsOf(gone)]
    const processes = [survivor]
    const resyncs: string[] = []
    for (const loss of [1, 2]) {
      const watchers = await Promise.all(processes.map(({ connect }) => connect()))
      await engine.restore()
      resyncs.push(await waitForResync(client))
      // Each process notices by itself, and until then judges an id by what it had.
      for (const watcher of watchers) {
        await waitForResync(watcher)
        await watcher.close()
      }
      await survivor.app.sse.publish(`after loss ${loss}`)
      await client.until(({ data }) => data === `"after loss ${loss}"`, LONG)
      processes.push(await startProcess(t, engine.backplane()))
      for (const process of processes) {
        t.strictSame(await taken(process, old), [], `after loss ${loss} no id from before it is good`)
        t.equal(await answerTo(process, resyncs.at(-1)!), `"after loss ${loss}"`, 'who was told goes on from there')
      }
      old.push(...idsOf(client).slice(old.length - 1))
    }
    t.strictSame(dataOf(client).slice(10), ['"after loss 1"', '"after loss 2"'])
    t.equal(client.events.filter(resyncOf).length, 2, 'who was there is told once of each')
    const fresh = await processes[2]!.connect()
    await survivor.app.sse.publish('end')
    t.equal((await fresh.next(LONG)).data, '"end"', 'who comes without an id has lost nothing')
  })

  test('an id that the engine gave, and lost with all processes, is good on none that starts then', async (t, engine) => {
    const first = await startProcess(t, engine.backplane())
    const client = await first.connect()
    await publishEach(first, 1, 5)
    await engine.keep()
    await publishEach(first, 6, 10)
    await waitForEvents([client], 10)
    await first.app.close()
    await engine.restore()
    const second = await startProcess(t, engine.backplane())
    const lost = idsOf(client).slice(5)
    t.strictSame(await taken(second, lost), [], 'while nothing has followed')
    await publishEach(second, 11, 20)
    t.strictSame(await taken(second, lost), [], 'when as many have followed')
  })
}

/** What must hold when an engine loses what it had acknowledged, or brings back what had gone. */
export function testLosses(t: Test, start: Start): void {
  const test = withEngine(t, start)
  testLostIds(t, start)

  for (const [what, count] of [
    ['as much', 5],
    ['more', 10]
  ] as const)
    test(`a loss that a process notices late is a loss, although ${what} has followed`, async (t, engine) => {
      const wire = await TcpProxy.to(t, engine.port)
      const away = await startProcess(t, engine.backplane({}, wire.port))
      const client = await away.connect()
      await publishEach(away, 1, 5)
      await engine.keep()
      await publishEach(away, 6, 10)
      await waitForEvents([client], 10)
      const old = idsOf(client)
      wire.cut()
      await away.log.waitFor(/is out of reach/, LONG)
      await engine.restore()
      const present = await startProcess(t, engine.backplane())
      const other = await present.connect()
      await publishEach(present, 11, 10 + count)
      await waitForEvents([other], count)
      wire.mend()
      await waitForResync(client)
      await waitForResync(other)
      await present.app.sse.publish('end')
      await client.until(({ data }) => data === '"end"', LONG)
      t.strictSame(dataOf(client), [...range(1, 10).map(String), '"end"'], 'a resync stands for what it has not had')
      t.equal(client.events.filter(resyncOf).length, 1)
      for (const process of [away, present]) t.strictSame(await taken(process, old), [])
    })

  test('a log that went away and comes back is passed on to nobody again', async (t, engine) => {
    const processes = await startProcesses(t, engine, 2)
    const clients = [await processes[0].connect(), await processes[1].connect()]
    await publish(processes[0], 1, 150)
    await waitForEvents(clients, 150)
    await engine.keep()
    await engine.flush()
    for (const client of clients) await waitForResync(client)
    // It has seen neither the old log nor its events.
    const third = await startProcess(t, engine.backplane())
    const late = await third.connect({ lastEventId: clients[0]!.events[149]!.id! })
    await late.until((event) => resyncOf(event) !== undefined, LONG)
    await engine.restore()
    for (const client of [...clients, late]) await waitForResync(client)
    await eventually(() => processes.every(({ app }) => app.sse.ready), 'all are connected')
    await processes[1].app.sse.publish('end')
    for (const client of [...clients, late]) await client.until(({ data }) => data === '"end"', LONG)
    for (const client of clients) {
      t.strictSame(dataOf(client), [...range(1, 150).map(String), '"end"'])
      t.equal(new Set(idsOf(client)).size, client.events.length, 'no id comes twice')
    }
    t.strictSame(dataOf(late), ['"end"'])
  })
}
