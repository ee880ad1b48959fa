import type { Test } from 'tap'
import { add, card, isLive, openTab, says, shows } from '../kit/board-page.js'
import { type BoardStage, goToLobby, HISTORY } from '../kit/board-stage.js'
import { changesOf } from '../kit/task-board.js'

/** What the example is about. */
export function together(t: Test, stage: BoardStage): void {
  const { ann, bob } = stage

  t.test('what one does is seen by the other', async (t) => {
    await stage.enterRoom()
    for (const title of ['Water the plants', 'Write a letter', 'Bake bread']) {
      await add(ann, title)
      await card(ann, title).waitFor()
    }
    await shows(t, bob, { todo: ['Bake bread', 'Write a letter', 'Water the plants'] }, 'created, the newest first')

    await card(ann, 'Write a letter').getByTestId('task-advance').click()
    await shows(t, bob, { todo: ['Bake bread', 'Water the plants'], doing: ['Write a letter'] }, 'moved')
    await card(bob, 'Bake bread').getByTestId('task-advance').click()
    await shows(t, ann, { todo: ['Water the plants'], doing: ['Bake bread', 'Write a letter'] }, 'from either side')

    await card(ann, 'Bake bread').getByTestId('task-edit').click()
    await ann.getByTestId('editor-title').fill('Bake rye bread')
    await ann.keyboard.press('Enter')
    await shows(t, bob, { todo: ['Water the plants'], doing: ['Bake rye bread', 'Write a letter'] }, 'edited')

    await card(bob, 'Water the plants').getByTestId('task-delete').click()
    await card(bob, 'Write a letter').getByTestId('task-advance').click()
    for (const page of [ann, bob]) {
      await shows(t, page, { doing: ['Bake rye bread'], done: ['Write a letter'] }, 'deleted')
    }
  })
}

/** The board as two people see it. */
export function board(t: Test, stage: BoardStage): void {
  const { ann, bob, relay } = stage

  t.test('what one does is told by the answer and by the stream, and is there once', async (t) => {
    const dan = await stage.enterRoom([], [ann])
    // The answer comes after the event, and then before it.
    await ann.route(
      '**/tasks',
      async (route) => {
        const response = await route.fetch()
        await card(ann, 'Event first').waitFor()
        await route.fulfill({ response })
      },
      { times: 1 }
    )
    await add(ann, 'Event first')
    await ann.getByTestId('waiting-task').waitFor({ state: 'detached' })
    await ann.getByText('You added “Event first”').waitFor({ state: 'attached' })
    await dan.create('Of Dan')
    await add(ann, 'Another')
    await shows(t, ann, { todo: ['Another', 'Of Dan', 'Event first'] }, 'once each')
    t.equal(await ann.getByText('You added').count(), 2, 'and is read out once')
  })

  t.test('a room says who is in it, each once', async (t) => {
    await stage.enterRoom()
    await (await stage.board.visitor('Cy', 'team-b')).stream()
    const bobAgain = await openTab(bob)
    for (const page of [bob, bobAgain]) await says(page, 'people', /^AAnnBBob \(you\)$/)
    await says(ann, 'people', /^AAnn \(you\)BBob$/)
    await bobAgain.close()
    await goToLobby(bob)
    await says(ann, 'people', /^AAnn \(you\)$/)
    t.pass('and follows their coming and going')
  })

  const losses: [title: string, events: number][] = [
    ['a tab whose connection was cut says so, and has what it missed', 0],
    ['so it has where the stream has lost it', HISTORY]
  ]
  for (const [title, others] of losses) {
    t.test(title, async (t) => {
      const dan = await stage.enterRoom(['Kept', 'Changed', 'Deleted'], [ann])
      const { tasks } = await dan.snapshot()
      const watching = await dan.stream()
      await shows(t, ann, { todo: ['Deleted', 'Changed', 'Kept'] }, 'at first')

      relay.cut()
      await says(ann, 'connection', 'Reconnecting')
      const created = await dan.create('Created')
      await dan.tasks('PATCH', `/${tasks[1]!.id}`, { status: 'doing', title: 'Changed twice' })
      await dan.tasks('DELETE', `/${tasks[2]!.id}`)
      for (let i = 1; i <= others; i++) await dan.tasks('PATCH', `/${created.id}`, { title: `Created ${i}` })
      await changesOf(watching, 3 + others)
      const last = others > 0 ? `Created ${others}` : 'Created'
      // A notice stays for some seconds only.
      const noticed = says(ann, 'notice', 'Caught up: 3 tasks have changed')
      relay.target = stage.board.port
      await Promise.all([noticed, isLive(ann)])
      await shows(t, ann, { todo: [last, 'Kept'], doing: ['Changed twice'] }, 'what happened meanwhile')

      await dan.create('Live again')
      await shows(t, ann, { todo: ['Live again', last, 'Kept'], doing: ['Changed twice'] }, 'and goes on')
      await add(ann, 'Own')
      await shows(t, ann, { todo: ['Own', 'Live again', last, 'Kept'], doing: ['Changed twice'] }, 'its own')
      await dan.create('After it')
      const todo = ['After it', 'Own', 'Live again', last, 'Kept']
      await shows(t, ann, { todo, doing: ['Changed twice'] }, 'with its own changes, too')
    })
  }

  t.test('text that looks like a program stays text', async (t) => {
    const dan = await stage.enterRoom([], [ann])
    const texts = [
      '<img src=x onerror="document.title = 1">',
      '<script>document.title = 1</script>',
      '</p><b>bold</b>&lt;i&gt;',
      'javascript:document.title = 1',
      '{{document.title = 1}}'
    ]
    const { length } = await ann.locator('img, script, b, i').all()
    const title = await ann.title()
    for (const text of texts) await dan.create(text)
    await shows(t, ann, { todo: texts.toReversed() }, 'live')
    await ann.reload()
    await shows(t, ann, { todo: texts.toReversed() }, 'and loaded')
    t.equal((await ann.locator('img, script, b, i').all()).length, length, 'no element has come of it')
    t.match(title, / · Task board$/)
    t.equal(await ann.title(), title, 'and none has run')
  })
}
