import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { Test } from 'tap'
import type { Change, Task } from '../kit/task-board.js'

interface View {
  reset(tasks: Task[]): void
  put(task: Task): void
  remove(id: string): void
}

interface Snapshot {
  seq: number
  tasks: Task[]
}

interface Replica {
  seq: number
  load(snapshot: Snapshot): void
  receive(change: Change): boolean
}

interface Author {
  user: string
  clientId: string
}

interface Tasks {
  snapshot(): Snapshot
  create(fields: object, by: Author): Change
  update(id: string, fields: object, by: Author): Change | undefined
  delete(id: string, by: Author): Change | undefined
  restore(id: string, fields: object, by: Author): Change | undefined
}

const example = (path: string) => import(new URL(`../../example-app/${path}`, import.meta.url).href)
const { Replica } = (await example('public/server/replica.js')) as { Replica: new (view: View) => Replica }
const { Tasks } = (await example('board/tasks.js')) as {
  Tasks: new (options: { limit: number; onChange: (change: Change, clientId?: string) => void }) => Tasks
}

class Rows implements View {
  readonly byId = new Map<string, Task>()

  reset(tasks: Task[]): void {
    this.byId.clear()
    for (const task of tasks) this.put(task)
  }

  put(task: Task): void {
    this.byId.set(task.id, task)
  }

  remove(id: string): void {
    this.byId.delete(id)
  }
}

/** A page and its server, with all that is under way between them. */
class Board {
  readonly rows = new Rows()
  readonly replica = new Replica(this.rows)
  readonly answers: Change[] = []
  readonly #tasks = new Tasks({ limit: 100, onChange: (change, clientId) => this.#broadcast(change, clientId) })
  readonly #log: Change[] = []
  readonly #deleted: string[] = []
  /** What the page has had of the log. */
  #seen = 0
  #stream: (() => void)[] = []
  #connection = 0
  /** The connection that the page has had a snapshot of: the id that it sends with its changes. */
  #known = ''

  change(kind: string, which: number, isOwn: boolean): void {
    const { tasks } = this.#tasks.snapshot()
    const id = tasks[which % tasks.length]?.id ?? 'none'
    const by = { user: 'Ann', clientId: isOwn ? this.#known : 'other' }
    const title = String(which)
    const kinds: Record<string, () => Change | undefined> = {
      create: () => this.#tasks.create({ title }, by),
      delete: () => this.#tasks.delete(id, by),
      update: () => this.#tasks.update(id, { title }, by),
      // One that is deleted, if there is any.
      restore: () => this.#tasks.restore(this.#deleted.at(which % this.#deleted.length) ?? 'none', { title }, by)
    }
    const change = kinds[kind]!()
    if (change?.kind === 'delete') this.#deleted.push(change.row_id)
    if (isOwn && change) this.answers.push(change)
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
    const snapshot = this.#tasks.snapshot()
    const load = () => {
      this.#known = id
      this.replica.load(snapshot)
    }
    this.#stream = [load]
    this.#log.forEach((change, i) => {
      if (i >= this.#seen) this.#hear(change, i)
    })
  }

  get expected(): Task[] {
    return this.#tasks.snapshot().tasks
  }

  #broadcast(change: Change, clientId?: string): void {
    this.#log.push(change)
    if (clientId !== String(this.#connection)) this.#hear(change, this.#log.length - 1)
  }

  #hear(change: Change, place: number): void {
    this.#stream.push(() => {
      this.#seen = place + 1
      this.replica.receive(change)
    })
  }
}

const byId = (one: Task, other: Task) => one.id.localeCompare(other.id)

/** The page's copy of the board. */
export function replica(t: Test): void {
  t.test('however answers and events overtake each other, the page ends with the rows of the server', async () => {
    const number = fc.nat(20)
    const step = fc.oneof(
      {
        weight: 5,
        arbitrary: fc.record({
          change: fc.constantFrom('create', 'update', 'delete', 'restore'),
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
