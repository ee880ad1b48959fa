import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { Test } from 'tap'
import type { Task } from '../kit/task-board.js'

type Row = Pick<Task, 'id' | 'title'>

interface View {
  reset(rows: Row[]): void
  put(row: Row): void
  remove(id: string): void
}

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

interface Replica {
  load(snapshot: Snapshot): number
  receive(change: object): boolean
}

const example = (path: string) => import(new URL(`../../example-app/public/server/${path}`, import.meta.url).href)
const { Replica } = (await example('replica.js')) as { Replica: new (view: View) => Replica }
const { readChange } = (await example('change.js')) as { readChange(told: Told, cursor: string): object }

class Rows implements View {
  readonly byId = new Map<string, Row>()

  reset(tasks: Row[]): void {
    this.byId.clear()
    for (const task of tasks) this.put(task)
  }

  put(task: Row): void {
    this.byId.set(task.id, task)
  }

  remove(id: string): void {
    this.byId.delete(id)
  }
}

/** What the database does with the tasks of a room: its change feed, and its answers. */
class Table {
  readonly log: { told: Told; by: string }[] = []
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
      return this.#save('insert', { id, title, deleted_at: null, changed_by: by }, by)
    }
    if (row === undefined) return undefined
    if (kind === 'remove') {
      this.#rows.delete(row.id)
      return this.#tell({ row_id: row.id, kind: 'delete', data: null }, by)
    }
    if ((kind === 'restore') === (row.deleted_at === null)) return undefined
    const deleted_at = kind === 'delete' ? 'now' : null
    return this.#save(
      'update',
      { ...row, title: kind === 'update' ? title : row.title, deleted_at, changed_by: by },
      by
    )
  }

  #save(kind: string, data: NonNullable<Told['data']>, by: string): Told {
    this.#rows.set(data.id, data)
    return this.#tell({ row_id: data.id, kind, data }, by)
  }

  #tell(told: Told, by: string): Told {
    this.log.push({ told, by })
    return told
  }
}

/** A page and its server, with all that is under way between them. */
class Board {
  readonly rows = new Rows()
  readonly replica = new Replica(this.rows)
  readonly answers: object[] = []
  readonly #table = new Table()
  /** What the page has had of the log. */
  #seen = 0
  #stream: (() => void)[] = []
  #connection = 0
  /** The connection that the page has had a snapshot of: the id that it sends with its changes. */
  #known = ''

  change(kind: string, which: number, isOwn: boolean): void {
    const by = isOwn ? this.#known : 'other'
    const told = this.#table.change(kind, which, by)
    if (told === undefined) return
    if (by !== String(this.#connection)) this.#hear(this.#table.log.length)
    if (isOwn) this.answers.push(readChange(told, this.#table.cursor))
  }

  answer(which: number): void {
    const [change] = this.answers.splice(which % (this.answers.length || 1), 1)
    if (change) this.replica.receive(change)
  }

  /** One more thing off the stream. */
  deliver(): boolean {
    const next = this.#stream.shift()
    next?.()
    return next !== undefined
  }

  connect(): void {
    this.#connection++
    const id = String(this.#connection)
    const { snapshot } = this.#table
    const load = () => {
      this.#known = id
      this.replica.load(snapshot)
    }
    this.#stream = [load]
    for (let count = this.#seen + 1; count <= this.#table.log.length; count++) this.#hear(count)
  }

  get expected(): Row[] {
    return this.#table.snapshot.tasks
  }

  /** The stream brings what the log has at this place. */
  #hear(count: number): void {
    const { told } = this.#table.log[count - 1]!
    const id = `${this.#table.cursorOf(count)}-00abcde`
    this.#stream.push(() => {
      this.#seen = count
      this.replica.receive(readChange(told, id))
    })
  }
}

const byId = (one: Row, other: Row) => one.id.localeCompare(other.id)

/** The page's copy of the board. */
export function replica(t: Test): void {
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
      { weight: 1, arbitrary: fc.constantFrom('connect' as const, 'lose answers' as const) }
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
        const board = new Board()
        board.connect()
        for (const step of steps) {
          if (step === 'deliver') board.deliver()
          else if (step === 'connect') board.connect()
          else if (step === 'lose answers') {
            // The page cannot know what came of its changes, and asks for a new snapshot.
            board.answers.length = 0
            board.connect()
          } else if ('answer' in step) board.answer(step.answer)
          else board.change(step.change, step.number, step.own)
        }
        while (board.deliver());
        while (board.answers.length > 0) board.answer(0)
        assert.deepEqual([...board.rows.byId.values()].sort(byId), board.expected.toSorted(byId))
      }),
      { numRuns: 2000 }
    )
  })
}
