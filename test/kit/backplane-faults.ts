// The suite for real engines, with its tests of faults: an engine that is killed, frozen, cut off, trimmed or emptied. Logs that go
// back in time are in engine-losses.ts; tests without faults are in backplane-sharing.ts.

import type { Test } from 'tap'
import { testSharing } from './backplane-sharing.js'
import { type EngineTest, engineTests, type StartEngine } from './engines.js'
import { resyncOf } from './numbered.js'
import {
  dataOf,
  eventsOf,
  eventually,
  LONG,
  publish,
  range,
  startProcess,
  startProcesses,
  USER,
  waitForEvents
} from './processes.js'
import { TcpProxy } from './tcp-proxy.js'

/** Adds the tests that every engine must pass. Each of them starts an engine of its own. */
export function testBackplane(t: Test, start: StartEngine): void {
  const test = engineTests(t, start)
  testSharing(test)
  testFaults(test)
}

/** Tests what clients and publishers get while the engine is out of reach, and after its log has changed. */
function testFaults(test: EngineTest): void {
  test('after kill -9 and a restart of the engine, no acknowledged event is missing, and clients stay connected', async (t, engine) => {
    const processes = await startProcesses(t, engine, 2, { publishTimeout: 60_000 })
    const clients = [await processes[0].connect(), await processes[1].connect()]
    const ids = await publish(processes[0], 1, 20)
    await engine.kill9()
    const meanwhile = publish(processes[1], 21, 40)
    for (const n of range(41, 60)) processes[0].app.sse.broadcast(n)
    for (const { app, log } of processes) {
      await log.waitFor(/is out of reach/, LONG)
      t.notOk(app.sse.ready, 'the app is not ready')
      t.notOk(app.sse.stats().backplane!.connected)
    }
    t.ok(processes[0].app.sse.stats().backplane!.pending > 0)
    await engine.start()
    ids.push(...(await meanwhile))
    await waitForEvents(clients, 60)
    for (const client of clients) {
      t.strictSame(eventsOf(client), eventsOf(clients[0]!), 'all clients get the same order')
      const numbers = dataOf(client).map(Number)
      t.strictSame(
        [...numbers].sort((a, b) => a - b),
        range(1, 60),
        'each event comes once'
      )
      t.strictSame(numbers.slice(0, 20), range(1, 20))
      t.strictSame(
        numbers.filter((n) => n > 20 && n <= 40),
        range(21, 40)
      )
      t.strictSame(
        numbers.filter((n) => n > 40),
        range(41, 60)
      )
      t.strictSame(client.events.filter(resyncOf), [])
      const idOf = new Map(client.events.map(({ data, id }) => [Number(data), id]))
      t.strictSame(
        ids,
        range(1, 40).map((n) => idOf.get(n)),
        'each event has the id that publish resolved with'
      )
    }
    for (const { app, log } of processes) {
      await log.waitFor(/is reached again/, LONG)
      t.ok(app.sse.ready)
      t.equal(app.sse.stats().backplane!.lost, 0)
    }
  })

  test('a frozen engine is noticed, and waiting events are published when it continues', async (t, engine) => {
    const processes = await startProcesses(t, engine, 2, { publishTimeout: 60_000 })
    const clients = [await processes[0].connect(), await processes[1].connect()]
    await publish(processes[0], 1, 5)
    await waitForEvents(clients, 5)
    engine.freeze()
    t.teardown(() => engine.thaw())
    const meanwhile = publish(processes[1], 6, 10)
    for (const { log } of processes) await log.waitFor(/is out of reach/, LONG)
    engine.thaw()
    const ids = await meanwhile
    await waitForEvents(clients, 10)
    for (const client of clients) {
      t.strictSame(dataOf(client).map(Number), range(1, 10))
      t.strictSame(
        eventsOf(client)
          .slice(5)
          .map(({ id }) => id),
        ids
      )
      t.strictSame(client.events.filter(resyncOf), [])
    }
    for (const { log } of processes) await log.waitFor(/is reached again/, LONG)
  })

  test('events over the limits on waiting events are lost, and publish rejects', async (t, engine) => {
    const limits = { maxPending: 5, publishTimeout: 2000 }
    const one = await startProcess(t, engine.backplane(limits))
    const client = await one.connect()
    await engine.kill9()
    await one.log.waitFor(/is out of reach/, LONG)
    const { sse } = one.app
    const waiting = range(1, 5).map((n) => sse.publish(n))
    const late = Promise.allSettled(waiting)
    await t.rejects(sse.publish(6), { code: 'PYLON_SSE_ERR_BACKPLANE_FULL', statusCode: 503 })
    t.doesNotThrow(() => sse.broadcast(7))
    for (const result of await late)
      t.match(result, { status: 'rejected', reason: { code: 'PYLON_SSE_ERR_BACKPLANE_TIMEOUT' } })
    await one.log.waitFor(/an event is lost/, LONG)
    t.equal(sse.stats().backplane!.lost, 1)
    t.equal(sse.stats().backplane!.pending, 0)
    sse.broadcast(8)
    await eventually(() => sse.stats().backplane!.lost === 2, 'the loss is counted')
    await engine.start()
    await one.log.waitFor(/is reached again/, LONG)
    await sse.publish(9)
    await client.until(({ data }) => data === '9', LONG)
    t.strictSame(dataOf(client), ['9'], 'no lost event arrives later')
  })

  test('clients get a resync if events were trimmed while their process could not reach the engine', async (t, engine) => {
    const wire = await TcpProxy.to(t, engine.port)
    const [present, away] = [
      await startProcess(t, engine.backplane()),
      await startProcess(t, engine.backplane({}, wire.port))
    ]
    const clients = [await present.connect(), await away.connect({ headers: { [USER]: 'eve' } })]
    await publish(present, 1, 5)
    await waitForEvents(clients, 5)
    wire.cut()
    await away.log.waitFor(/is out of reach/, LONG)
    await publish(present, 6, 10)
    await engine.trim()
    await publish(present, 11, 12)
    wire.mend()
    const resync = await clients[1]!.until((event) => resyncOf(event) !== undefined, LONG)
    t.strictSame(resyncOf(resync), { reason: 'backplane', missed: null })
    await away.log.waitFor(/have left the backplane/, LONG)
    await waitForEvents([clients[1]!], 7)
    await waitForEvents([clients[0]!], 12)
    t.strictSame(dataOf(clients[1]!).map(Number), [...range(1, 5), 11, 12])
    t.strictSame(dataOf(clients[0]!).map(Number), range(1, 12), 'clients of the other process miss nothing')
    // The process that has the gap cannot resume a client from before it. The other process can.
    const old = clients[0]!.events[2]!.id!
    const resumed = await away.connect({ lastEventId: old })
    t.match(resyncOf(await resumed.next(LONG)), { reason: 'expired' })
    const lucky = await present.connect({ lastEventId: old })
    await waitForEvents([lucky], 9)
    t.strictSame(dataOf(lucky).map(Number), range(4, 12))
  })

  test('a short outage makes no client miss an event', async (t, engine) => {
    const wire = await TcpProxy.to(t, engine.port)
    const [present, away] = [
      await startProcess(t, engine.backplane()),
      await startProcess(t, engine.backplane({}, wire.port))
    ]
    const client = await away.connect()
    wire.cut()
    await away.log.waitFor(/is out of reach/, LONG)
    const own = publish(away, 101, 105)
    await publish(present, 1, 5)
    wire.mend()
    await own
    await waitForEvents([client], 10)
    t.strictSame(dataOf(client).map(Number), [...range(1, 5), ...range(101, 105)])
    t.strictSame(client.events.filter(resyncOf), [])
  })

  test('after the log is deleted, clients get a resync, and the events of the new log', async (t, engine) => {
    const processes = await startProcesses(t, engine, 2)
    const clients = [await processes[0].connect(), await processes[1].connect()]
    await publish(processes[0], 1, 5)
    await waitForEvents(clients, 5)
    await engine.flush()
    for (const client of clients) {
      const resync = await client.until((event) => resyncOf(event) !== undefined, LONG)
      t.strictSame(resyncOf(resync), { reason: 'backplane', missed: null })
    }
    await publish(processes[1], 6, 8)
    await waitForEvents(clients, 8)
    for (const client of clients) t.strictSame(dataOf(client).map(Number), range(1, 8))
    const later = await startProcess(t, engine.backplane())
    const resumed = await later.connect({ lastEventId: clients[0]!.events[1]!.id! })
    t.ok(resyncOf(await resumed.next(LONG)), 'a client with an id of the deleted log gets a resync')
    const [recent] = clients[0]!.events.filter(({ data }) => data === '6')
    const fine = await later.connect({ lastEventId: recent!.id! })
    await waitForEvents([fine], 2)
    t.strictSame(dataOf(fine), ['7', '8'])
  })

  test('without its engine an app fails to start, and the error names the engine', async (t, engine) => {
    await engine.kill9()
    const failure = await startProcess(t, engine.backplane()).then(
      () => undefined,
      (error: Error) => error
    )
    t.match(failure, { code: 'PYLON_SSE_ERR_BACKPLANE_UNAVAILABLE', statusCode: 503 })
    t.match(failure!.message, engine.name)
    t.match(failure!.message, String(engine.port))
  })

  test('with optional: true an app serves its own events until it can join the engine', async (t, engine) => {
    const present = await startProcess(t, engine.backplane())
    await publish(present, 1, 3)
    await engine.kill9()
    const lone = await startProcess(t, engine.backplane({ optional: true }))
    await lone.log.waitFor(/cannot be joined/, LONG)
    const client = await lone.connect()
    t.notOk(lone.app.sse.ready)
    const local = await lone.app.sse.publish('local')
    t.match(await client.next(LONG), { data: '"local"', id: local })
    await engine.start()
    t.strictSame(resyncOf(await client.next(LONG)), { reason: 'backplane', missed: null })
    t.ok(lone.app.sse.ready)
    await present.log.waitFor(/is reached again/, LONG)
    await Promise.all([lone.app.sse.publish('from one'), present.app.sse.publish('from the other')])
    const heard = await present.connect()
    await present.app.sse.publish('end')
    await heard.until(({ data }) => data === '"end"', LONG)
    await client.until(({ data }) => data === '"end"', LONG)
    t.equal(dataOf(client)[0], '"local"')
    t.strictSame(
      dataOf(client).slice(1).sort(),
      ['"end"', '"from one"', '"from the other"'],
      'and no event from before it joined'
    )
  })

  test('closing an app leaves no connection behind, even if the engine is frozen', async (t, engine) => {
    await eventually(async () => (await engine.countConnections()) === 0, 'those of other tests are gone')
    const [calm, hasty] = await startProcesses(t, engine, 2)
    await publish(calm, 1, 3)
    t.ok((await engine.countConnections()) > 0)
    await calm.app.close()
    engine.freeze()
    t.teardown(() => engine.thaw())
    hasty.app.sse.broadcast('on its way')
    const from = performance.now()
    await hasty.app.close()
    t.ok(performance.now() - from < 10_000, 'a frozen engine does not delay closing for long')
    engine.thaw()
    await eventually(async () => (await engine.countConnections()) === 0, 'all connections are gone')
    await t.rejects(hasty.app.sse.publish(1), { code: 'PYLON_SSE_ERR_CLOSED' })
  })
}
