import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { Test } from 'tap'
import type { Task } from '../kit/task-board.js'

type Row = Pick<Task, 'id' | 'title'>

interface Snapshot {
  cursor: string
  tasks: Row[]
}

/** A change as its event tells it, or an answer. */
interface Told {
  row_id: string
  kind: string
  data: (Row & { deleted_at: string | null; changed_by: string }) | null
}

/** A change as the page reads it. */
interface Change {
  row_id: string
  cursor: string
  kind: string
  data: Row | null
}

interface Latest {
  has(change: Change): boolean
  add(change: Change): void
}

const example = (path: string) => import(new URL(`../../example-app/public/network/${path}`, import.meta.url).href)
const { Latest } = (await example('latest.js')) as { Latest: new (cursor: string) => Latest }
const { readChange } = (await example('change.js')) as { readChange(told: Told, cursor: string): Change }

/** What the database does with the tasks of a room: its change feed, and its answers. */
class Table {
  readonly log: Told[] = []
  readonly #rows = new Map<string, NonNullable<Told['data']>>()
  #created = 0

  get cursor(): string {
    return this.cursorOf(this.log.length)
  }

  /** Other rooms and what else there is have places in the log, too. */
  cursorOf(count: number): string {
    return `0badcafe-${3 * count}`
  }

  get snapshot(): Snapshot {
    const tasks = [...this.#rows.values()].filter(({ deleted_at }) => deleted_at === null)
    return { cursor: this.cursor, tasks }
  }

  /** Nothing where there is nothing to change. */
  change(kind: string, which: number, by: string): Told | undefined {
    const row = [...this.#rows.values()][which % this.#rows.size]
    const title = String(which)
    if (kind === 'create') {
      const id = `task ${++this.#created}`
      return this.#save('insert', { id, title, deleted_at: null, changed_by: by })
    }
    if (row === undefined) return undefined
    if (kind === 'remove') {
      this.#rows.delete(row.id)
      return this.#tell({ row_id: row.id, kind: 'delete', data: null })
    }
    if ((kind === 'restore') === (row.deleted_at === null)) return undefined
    const deleted_at = kind === 'delete' ? 'now' : null
    return this.#save('update', { ...row, title: kind === 'update' ? title : row.title, deleted_at, changed_by: by })
  }

  #save(kind: string, data: NonNullable<Told['data']>): Told {
    this.#rows.set(data.id, data)
    return this.#tell({ row_id: data.id, kind, data })
  }

  #tell(told: Told): Told {
    this.log.push(told)
    return told
  }
}

/** A page and its server, with all that is under way between them. */
class Board {
  readonly rows = new Map<string, Row>()
  readonly answers: Change[] = []
  readonly #table = new Table()
  #latest: Latest
  /** What has been loaded, and is not there yet. */
  #loading: Snapshot | undefined
  /** What the stream will bring: it brings all, in order, and waits for what is loaded. */
  #stream: Change[] = []

  constructor() {
    this.#latest = new Latest(this.#table.cursor)
  }

  change(kind: string, which: number, isOwn: boolean): void {
    const told = this.#table.change(kind, which, isOwn ? 'own' : 'other')
    if (told === undefined) return
    this.#stream.push(readChange(told, `${this.#table.cursor}-00abcde`))
    if (isOwn) this.answers.push(readChange(told, this.#table.cursor))
  }

  answer(which: number): void {
    const [change] = this.answers.splice(which % (this.answers.length || 1), 1)
    if (change) this.#receive(change)
  }

  /** One more thing off the stream. */
  deliver(): boolean {
    if (this.#loading !== undefined) return false
    const next = this.#stream.shift()
    if (next) this.#receive(next)
    return next !== undefined
  }

  /** Events have been missed: the stream goes on from now, once the rows are loaded. */
  miss(): void {
    this.#stream = []
    this.#loading = this.#table.snapshot
  }

  load(): void {
    if (this.#loading === undefined) return
    const { cursor, tasks } = this.#loading
    this.#loading = undefined
    this.#latest = new Latest(cursor)
    this.rows.clear()
    for (const task of tasks) this.rows.set(task.id, task)
  }

  get expected(): Row[] {
    return this.#table.snapshot.tasks
  }

  #receive(change: Change): void {
    if (this.#latest.has(change)) return
    this.#latest.add(change)
    if (change.kind === 'delete') this.rows.delete(change.row_id)
    else this.rows.set(change.row_id, change.data!)
  }
}

const byId = (one: Row, other: Row) => one.id.localeCompare(other.id)

/** The page's copy of the board. */
export function latest(t: Test): void {
  t.test('however answers and events overtake each other, the page ends with the rows of the server', async () => {
    const number = fc.nat(20)
    const step = fc.oneof(
      {
        weight: 5,
        arbitrary: fc.record({
          change: fc.constantFrom('create', 'update', 'delete', 'restore', 'remove'),
          number,
          own: fc.boolean()
        })
      },
      { weight: 4, arbitrary: fc.constant('deliver' as const) },
      { weight: 2, arbitrary: fc.record({ answer: number }) },
      { weight: 1, arbitrary: fc.constantFrom('miss' as const, 'load' as const, 'lose answers' as const) }
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
        const board = new Board()
        for (const step of steps) {
          if (step === 'deliver') board.deliver()
          else if (step === 'miss') board.miss()
          else if (step === 'load') board.load()
          // What came of its changes the page hears by the stream.
          else if (step === 'lose answers') board.answers.length = 0
          else if ('answer' in step) board.answer(step.answer)
          else board.change(step.change, step.number, step.own)
        }
        board.load()
        while (board.deliver());
        while (board.answers.length > 0) board.answer(0)
        assert.deepEqual([...board.rows.values()].sort(byId), board.expected.toSorted(byId))
      }),
      { numRuns: 2000 }
    )
  })
}
