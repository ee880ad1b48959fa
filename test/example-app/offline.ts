import type { Test } from 'tap'
import { add, retype, says, shows } from '../kit/board-page.js'
import type { BoardStage } from '../kit/board-stage.js'

/** What is typed while the server is away. */
export function offline(t: Test, stage: BoardStage): void {
  const { ann, bob, relay } = stage

  t.test('what is added while the server is away says so, and is sent on its return', async (t) => {
    await stage.enterRoom()
    relay.cut()
    await says(ann, 'connection', 'Reconnecting')
    for (const title of ['First', 'Second']) await add(ann, title)
    await ann.getByText('Not sent yet').first().waitFor()
    t.strictSame(await ann.getByTestId('waiting-task').locator('.title').allTextContents(), ['Second', 'First'])
    relay.target = stage.board.port
    for (const page of [bob, ann]) await shows(t, page, { todo: ['Second', 'First'] }, 'in its order')
    t.equal(await ann.getByTestId('waiting-task').count(), 0, 'and waits no longer')
  })

  t.test('what the server has taken while its answer was lost is there once', async (t) => {
    await stage.enterRoom()
    await ann.route(
      '**/tasks',
      async (route) => {
        await route.fetch()
        await route.abort()
      },
      { times: 1 }
    )
    await add(ann, 'Unanswered')
    await shows(t, bob, { todo: ['Unanswered'] }, 'the other sees it')
    await ann.getByTestId('waiting-task').waitFor({ state: 'detached' })
    for (const page of [ann, bob]) await shows(t, page, { todo: ['Unanswered'] }, 'once')
  })

  t.test('what the server refuses stays with its author', async (t) => {
    await stage.enterRoom()
    await ann.route(
      '**/tasks',
      async (route) => {
        await route.fulfill({ status: 409, json: { message: 'The board is full', code: 'BOARD_FULL' } })
      },
      { times: 1 }
    )
    await add(ann, 'One too many')
    await says(ann, 'waiting-task', 'The board is full')
    await ann.getByRole('button', { name: 'Send now' }).click()
    await shows(t, bob, { todo: ['One too many'] }, 'who may send it again')
  })

  t.test('a title that was not saved is offered to its author on their return', async (t) => {
    const dan = await stage.enterRoom(['Bread'], [ann])
    const { hash } = new URL(ann.url())
    await retype(ann, 'Bread', 'Rye bread')
    await dan.tasks('PATCH', `/${(await dan.snapshot()).tasks[0]!.id}`, {
      title: 'Cake'
    })
    await says(ann, 'editor-note', 'Dan wrote “Cake” meanwhile.')
    await ann.evaluate("location.hash = ''")
    await ann.getByRole('heading', { level: 1, name: 'Rooms' }).waitFor()
    await ann.evaluate(`location.hash = '${hash}'`)
    await says(ann, 'waiting-task', 'Rye bread You were writing this when you left')
    await ann.getByRole('button', { name: 'Discard' }).click()
    t.equal(await ann.getByTestId('waiting-task').count(), 0)
    await shows(t, ann, { todo: ['Cake'] }, 'and nothing is sent unasked')
  })
}
