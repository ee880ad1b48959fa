// The cases about cursors: their form, their order, and texts that are not cursors.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import type { CaseContext } from '../harness.js'
import { assertAscending, parcels } from '../log.js'

/** Texts that are not cursors of any engine. */
const FOREIGN = ['', ' ', 'x', '-', 'foreign', '1-2-3-4-5-6', '☃', randomUUID(), '\u0000', '9'.repeat(400)]

/** Adds the cases about cursors. */
export function cursorCases({ add }: CaseContext): void {
  add('cursors are unique, contain no colon or white space, and have one order', async (log) => {
    const [a, b] = [await log.join(), await log.join()]
    const cursors: string[] = []
    for (let i = 0; i < 12; i++) {
      const { backplane } = i % 2 === 0 ? a : b
      cursors.push(...(await backplane.publish(parcels(3))))
    }
    assert.equal(new Set(cursors).size, cursors.length)
    for (const cursor of cursors) assert.match(cursor, /^[\x21-\x39\x3b-\x7e]{1,200}$/)
    const late = await log.join()
    for (const { backplane } of [a, b, late]) {
      for (const [i, first] of cursors.entries()) {
        for (const [j, second] of cursors.entries()) {
          assert.equal(
            Math.sign(backplane.compare(first, second)!),
            Math.sign(i - j),
            `compare('${first}', '${second}')`
          )
        }
      }
    }
  })

  add('a text that is not a cursor of the log does not compare with a cursor', async (log) => {
    const { backplane, joined } = await log.join()
    const [cursor] = await backplane.publish(parcels(1))
    for (const foreign of [...FOREIGN, `${cursor} `, ` ${cursor}`, `${cursor}x`, `x${cursor}`, `${cursor}\n`]) {
      for (const own of [cursor!, joined.floor]) {
        assert.equal(backplane.compare(foreign, own), undefined, `compare(${JSON.stringify(foreign)}, '${own}')`)
        assert.equal(backplane.compare(own, foreign), undefined, `compare('${own}', ${JSON.stringify(foreign)})`)
      }
    }
  })

  add('the cursors of a batch are in the order of the batch', async (log) => {
    const { backplane, listener } = await log.join()
    const cursors = await backplane.publish(parcels(500))
    assert.equal(cursors.length, 500)
    assertAscending(backplane, cursors)
    assert.deepEqual((await listener.until(500)).cursors, cursors)
  })
}
