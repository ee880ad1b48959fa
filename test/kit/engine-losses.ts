// Tests of real engines that have lost acknowledged events: the log goes back in time, or is deleted and comes back. Faults that
// lose nothing are in backplane-faults.ts.

import type { Test } from 'tap'
import { type Engine, engineTests, type StartEngine } from './engines.js'
import { resyncOf } from './numbered.js'
import {
  dataOf,
  eventually,
  LONG,
  type Process,
  publish,
  range,
  startProcess,
  startProcesses,
  waitForEvents
} from './processes.js'
import type { SseClient } from './sse-client.js'
import { TcpProxy } from './tcp-proxy.js'

/** A real engine whose log a test can take back in time. */
export interface ForgetfulEngine extends Engine {
  /** Makes a backup of the log. */
  keep(): Promise<void>
  /** Kills the engine and starts it with the backup. Everything after the backup is lost. */
  restore(): Promise<void>
}

const LOST = { reason: 'backplane', missed: null }

/** The first thing that a client with an id gets from a process: the reason of a resync, or the data of an event. */
async function answerTo({ connect }: Process, lastEventId: string): Promise<string> {
  const client = await connect({ lastEventId })
  const event = await client.next(LONG)
  await client.close()
  return resyncOf(event)?.reason ?? event.data
}

/** The ids that a process accepts although events after them are lost, each with what the client got. There must be none. */
async function acceptedIds(process: Process, ids: readonly string[]): Promise<string[]> {
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

/** Publishes one event after another, so that each is a message of its own. */
async function publishEach(process: Process, from: number, to: number): Promise<void> {
  for (const n of range(from, to)) await publish(process, n, n)
}

type Start = StartEngine<ForgetfulEngine>

/** Tests that no process accepts an id if events after it are lost. */
export function testLostIds(t: Test, start: Start): void {
  const test = engineTests(t, start)

  test('a client that was away when the engine lost events gets a resync, on every process, and after each loss', async (t, engine) => {
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
      // Each process finds the loss itself. Until then it still accepts old ids.
      for (const watcher of watchers) {
        await waitForResync(watcher)
        await watcher.close()
      }
      await survivor.app.sse.publish(`after loss ${loss}`)
      await client.until(({ data }) => data === `"after loss ${loss}"`, LONG)
      processes.push(await startProcess(t, engine.backplane()))
      for (const process of processes) {
        t.strictSame(await acceptedIds(process, old), [], `after loss ${loss} the process accepts no id from before it`)
        t.equal(
          await answerTo(process, resyncs.at(-1)!),
          `"after loss ${loss}"`,
          'a client that got the resync continues from there'
        )
      }
      old.push(...idsOf(client).slice(old.length - 1))
    }
    t.strictSame(dataOf(client).slice(10), ['"after loss 1"', '"after loss 2"'])
    t.equal(client.events.filter(resyncOf).length, 2, 'a connected client gets one resync for each loss')
    const fresh = await processes[2]!.connect()
    await survivor.app.sse.publish('end')
    t.equal((await fresh.next(LONG)).data, '"end"', 'a client without an id gets no resync')
  })

  test('the id of a lost event is not accepted by a process that starts after the loss', async (t, engine) => {
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
    t.strictSame(await acceptedIds(second, lost), [], 'before any new event')
    await publishEach(second, 11, 20)
    t.strictSame(await acceptedIds(second, lost), [], 'after more new events than were lost')
  })
}

/** Tests what clients get after an engine has lost acknowledged events, or has got lost ones back. */
export function testLosses(t: Test, start: Start): void {
  const test = engineTests(t, start)
  testLostIds(t, start)

  for (const [what, count] of [
    ['as many', 5],
    ['more', 10]
  ] as const)
    test(`a process that was away during a loss finds it, although ${what} events have followed`, async (t, engine) => {
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
      t.strictSame(
        dataOf(client),
        [...range(1, 10).map(String), '"end"'],
        'a resync stands in place of the events that it missed'
      )
      t.equal(client.events.filter(resyncOf).length, 1)
      for (const process of [away, present]) t.strictSame(await acceptedIds(process, old), [])
    })

  test('events of a log that was deleted and restored are not delivered again', async (t, engine) => {
    const processes = await startProcesses(t, engine, 2)
    const clients = [await processes[0].connect(), await processes[1].connect()]
    await publish(processes[0], 1, 150)
    await waitForEvents(clients, 150)
    await engine.keep()
    await engine.flush()
    for (const client of clients) await waitForResync(client)
    // This process has never read the old log.
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
