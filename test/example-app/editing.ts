import type { Page } from 'playwright-core'
import type { Test } from 'tap'
import { card, focused, retype, says, shows } from '../kit/board-page.js'
import type { BoardStage } from '../kit/board-stage.js'
import { deferred } from '../kit/deferred.js'

/** The button that undoes what was done last. */
function undo(page: Page) {
  return page.getByTestId('notice').getByRole('button', { name: 'Undo' })
}

/** What becomes of a title that is being edited, and of the focus, while others change and delete its task. */
export function conflicts(t: Test, stage: BoardStage): void {
  const { ann, bob } = stage

  t.test('a title that is being edited while somebody deletes its task is kept and offered', async (t) => {
    await stage.enterRoom(['Neighbour', 'Bread'])
    await retype(ann, 'Bread', 'Rye bread')
    await card(bob, 'Bread').getByTestId('task-delete').click()
    await says(ann, 'editor-note', 'Bob deleted this task. Your text is kept.')
    t.equal(await focused(ann), 'editor-title', 'the focus stays in the text')
    await ann.keyboard.press('Space')
    t.equal(await ann.getByTestId('editor-title').inputValue(), 'Rye bread ')
    await ann.getByTestId('editor-save').click()
    for (const page of [ann, bob]) await shows(t, page, { todo: ['Rye bread', 'Neighbour'] }, 'it is put back')

    await retype(ann, 'Rye bread', 'White bread')
    await card(bob, 'Rye bread').getByTestId('task-delete').click()
    await says(ann, 'editor-note', 'Bob deleted this task')
    await ann.keyboard.press('Escape')
    await shows(t, ann, { todo: ['Neighbour'] }, 'or let go')
    t.equal(await focused(ann), 'task', 'then the focus is on a card, and on none of its buttons')
    await ann.keyboard.press('Space')
    await ann.keyboard.press('Enter')
    await shows(t, bob, { todo: ['Neighbour'] }, 'so that the next key deletes nothing')
  })

  t.test('who edits a title that somebody else changes is told what they wrote, and chooses', async (t) => {
    await stage.enterRoom(['Bread'])
    await retype(ann, 'Bread', 'White bread')
    await retype(bob, 'Bread', 'Rye bread')
    await bob.getByTestId('editor-save').click()
    await says(ann, 'editor-note', 'Bob wrote “Rye bread” meanwhile.')
    t.equal(await ann.getByTestId('editor-title').inputValue(), 'White bread')
    await ann.getByTestId('editor-cancel').click()
    await shows(t, ann, { todo: ['Rye bread'] }, 'keeping theirs')

    await retype(ann, 'Rye bread', 'White bread')
    await retype(bob, 'Rye bread', 'Flat bread')
    await bob.keyboard.press('Enter')
    await says(ann, 'editor-note', 'Bob wrote “Flat bread” meanwhile.')
    await ann.getByTestId('editor-save').filter({ hasText: 'Replace it' }).click()
    // The notice stays while the pointer is on it.
    await undo(ann).hover()
    await shows(t, bob, { todo: ['White bread'] }, 'or replacing it')
    await undo(ann).click()
    await shows(t, bob, { todo: ['Flat bread'] }, 'which can be undone')
  })
}

/** What else an editor and its focus promise. */
export function editing(t: Test, stage: BoardStage): void {
  const { ann, bob } = stage

  t.test('who saves a title before hearing of another one is told, too', async (t) => {
    const dan = await stage.enterRoom(['Bread'], [ann])
    await retype(ann, 'Bread', 'White bread')
    // The stream is slower than the answer.
    const { id } = (await dan.snapshot()).tasks[0]!
    await ann.route(
      `**/tasks/${id}`,
      async (route) => {
        await dan.tasks('PATCH', `/${id}`, { title: 'Rye bread' })
        await route.continue()
      },
      { times: 1 }
    )
    await ann.keyboard.press('Enter')
    await says(ann, 'editor-note', /Dan (wrote “Rye bread” meanwhile|changed the title to “Rye bread” meanwhile)/)
    t.equal(await ann.getByTestId('editor-title').inputValue(), 'White bread')
    t.match(await dan.snapshot(), { tasks: [{ title: 'Rye bread' }] }, 'and nothing is overwritten')
    await ann.keyboard.press('Escape')
  })

  t.test('deleting can be undone, and the focus is never on what would delete the next task', async (t) => {
    await stage.enterRoom(['Second', 'First'])
    await card(ann, 'First').getByTestId('task-delete').press('Enter')
    // The notice stays while the pointer is on it.
    await undo(ann).hover()
    for (const page of [bob, ann]) await shows(t, page, { todo: ['Second'] }, 'deleted')
    t.equal(await focused(ann), 'task')
    await undo(ann).click()
    await shows(t, bob, { todo: ['First', 'Second'] }, 'by the button')
    await card(ann, 'First').and(ann.locator(':focus')).waitFor()
    for (const title of ['First', 'Second']) {
      await card(ann, title).getByTestId('task-delete').press('Enter')
      await card(ann, title).waitFor({ state: 'detached' })
    }
    for (const page of [bob, ann]) await shows(t, page, {}, 'both deleted')
    t.equal(await ann.evaluate('document.activeElement.id'), 'todo', 'the heading of the column has the focus')
    await ann.keyboard.press('Control+z')
    await shows(t, bob, { todo: ['Second'] }, 'or by Ctrl+Z, the last one first')
    await ann.keyboard.press('Control+z')
    await shows(t, bob, { todo: ['First', 'Second'] }, 'and the one before')
  })

  t.test('deleting can be undone as soon as the task is gone, though the answer takes its time', async (t) => {
    await stage.enterRoom(['Second', 'First'])
    const released = deferred()
    await ann.route(
      '**/tasks/*',
      async (route) => {
        const response = await route.fetch()
        await released.promise
        await route.fulfill({ response })
      },
      { times: 1 }
    )
    const answered = ann.waitForEvent('requestfinished', (request) => request.method() === 'DELETE')
    await card(ann, 'First').getByTestId('task-delete').press('Enter')
    await shows(t, ann, { todo: ['Second'] }, 'the stream tells of it')
    await ann.keyboard.press('Control+z')
    await shows(t, bob, { todo: ['First', 'Second'] }, 'undone')
    released.resolve()
    await answered
    await shows(t, ann, { todo: ['First', 'Second'] }, 'whatever the answer says then')
    t.equal(await ann.getByRole('button', { name: 'Undo' }).count(), 0, 'it is not offered twice')
  })

  t.test(
    'a task that somebody else deletes under the focus takes it nowhere dangerous, and can be put back',
    async (t) => {
      await stage.enterRoom(['Second', 'First'])
      await card(ann, 'First').getByTestId('task-delete').focus()
      await card(bob, 'First').getByTestId('task-delete').click()
      // The notice stays while the pointer is on it.
      await undo(ann).hover()
      await shows(t, ann, { todo: ['Second'] }, 'deleted')
      t.equal(await focused(ann), 'task')
      await ann.keyboard.press('Space')
      await says(ann, 'notice', 'Bob deleted “First”')
      await undo(ann).click()
      await shows(t, bob, { todo: ['First', 'Second'] }, 'put back')
    }
  )

  t.test('a long title is seen whole while it is edited', async (t) => {
    const long = 'a long title that goes on '.repeat(7).trim()
    await stage.enterRoom([long, 'x'.repeat(200)], [ann])
    for (const title of [long, 'x'.repeat(200)]) {
      await card(ann, title).getByTestId('task-edit').click()
      const size =
        '(({ scrollHeight: h, clientHeight: H, scrollWidth: w, clientWidth: W }) => [h <= H, w <= W, H > 60])'
      const field = "document.querySelector('[data-testid=editor-title]')"
      t.strictSame(await ann.evaluate(`${size}(${field})`), [true, true, true], 'on as many lines as it takes')
      await ann.keyboard.press('Escape')
    }
  })
}
