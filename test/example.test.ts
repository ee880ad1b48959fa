import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { add, asksWhoItIs, card, isLive, logIn, openRoom, openTab, says, shows } from './kit/board-page.js'
import { launchChromium } from './kit/chromium.js'
import { Relay } from './kit/relay.js'
import { type BoardOptions, TaskBoard } from './kit/task-board.js'

const browser = (await launchChromium(t))!
const skip = !browser

t.test('what one does is seen by the other', { skip }, async (t) => {
  const { url } = await TaskBoard.serve(t)
  const ann = await openRoom(t, browser, url, { name: 'Ann' })
  const bob = await openRoom(t, browser, url, { name: 'Bob' })

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

  if (process.env.SCREENSHOTS) {
    const folder = await mkdtemp(join(tmpdir(), 'pylon-sse-board-'))
    await ann.screenshot({ path: join(folder, 'board.png') })
    t.comment(`screenshot in ${folder}`)
  }
})

t.test('a tab names its own stream with its changes, also after a reconnection', { skip }, async (t) => {
  const board = await TaskBoard.serve(t)
  const relay = new Relay()
  const page = await openRoom(t, browser, await relay.listen(t, board.port))
  const named: (string | undefined)[] = []
  page.on('request', (request) => {
    if (request.method() === 'POST') named.push(request.headers()['x-client-id'])
  })
  const clientId = () => [...board.app.sse.clients][0]!.id
  await add(page, 'Before')
  await card(page, 'Before').waitFor()
  const before = clientId()
  relay.cut()
  await says(page, 'connection', 'Reconnecting')
  await (await board.visitor('Bob')).create('Meanwhile')
  relay.target = board.port
  await card(page, 'Meanwhile').waitFor()
  await add(page, 'After')
  await shows(t, page, { todo: ['After', 'Meanwhile', 'Before'] }, 'once each')
  t.strictSame(named, [before, clientId()])
  t.not(before, clientId())
})

t.test('a room says who is in it, each once', { skip }, async (t) => {
  const { url } = await TaskBoard.serve(t)
  const ann = await openRoom(t, browser, url, { name: 'Ann' })
  await says(ann, 'people', /^AAnn \(you\)$/)
  await openRoom(t, browser, url, { name: 'Cy', room: 'team-b' })
  const bob = await openRoom(t, browser, url, { name: 'Bob' })
  const bobAgain = await openTab(bob)
  for (const page of [bob, bobAgain]) await says(page, 'people', /^AAnnBBob \(you\)$/)
  await says(ann, 'people', /^AAnn \(you\)BBob$/)
  await bobAgain.close()
  await bob.getByTestId('all-rooms').click()
  await says(ann, 'people', /^AAnn \(you\)$/)
  t.pass('and follows their coming and going')
})

const losses: Record<string, BoardOptions> = {
  'a tab whose connection was cut says so, and has what it missed': {},
  'so it has where the stream has lost it': { pylonSse: { history: { events: 1 } } }
}

for (const [title, options] of Object.entries(losses)) {
  t.test(title, { skip }, async (t) => {
    const board = await TaskBoard.serve(t, options)
    const bob = await board.visitor('Bob')
    const [, changed, deleted] = [await bob.create('Kept'), await bob.create('Changed'), await bob.create('Deleted')]
    const relay = new Relay()
    const page = await openRoom(t, browser, await relay.listen(t, board.port))
    await shows(t, page, { todo: ['Deleted', 'Changed', 'Kept'] }, 'at first')

    relay.cut()
    await says(page, 'connection', 'Reconnecting')
    await bob.create('Created')
    await bob.tasks('PATCH', `/${changed.id}`, { status: 'doing', title: 'Changed twice' })
    await bob.tasks('DELETE', `/${deleted.id}`)
    relay.target = board.port
    await isLive(page)
    await shows(t, page, { todo: ['Created', 'Kept'], doing: ['Changed twice'] }, 'what happened meanwhile')
    await says(page, 'notice', 'Caught up on 3 changes')

    await bob.create('Live again')
    await shows(t, page, { todo: ['Live again', 'Created', 'Kept'], doing: ['Changed twice'] }, 'and goes on')
    await add(page, 'Own')
    await shows(t, page, { todo: ['Own', 'Live again', 'Created', 'Kept'], doing: ['Changed twice'] }, 'its own')
    await bob.create('After it')
    const todo = ['After it', 'Own', 'Live again', 'Created', 'Kept']
    await shows(t, page, { todo, doing: ['Changed twice'] }, 'with its own changes, too')
  })
}

t.test('a tab of a server that has begun anew asks who it is, and shows the new board then', { skip }, async (t) => {
  const before = await TaskBoard.serve(t)
  await (await before.visitor()).create('Of the old server')
  const relay = new Relay()
  const page = await openRoom(t, browser, await relay.listen(t, before.port))
  await shows(t, page, { todo: ['Of the old server'] }, 'before')

  const after = await TaskBoard.serve(t)
  const bob = await after.visitor('Bob')
  await bob.create('Of the new server')
  relay.target = after.port
  await before.app.close()
  await asksWhoItIs(page)
  await says(page, 'login-reason', 'The server was restarted. It keeps logins, rooms and tasks in memory alone')
  t.equal(await page.getByTestId('login-name').inputValue(), 'Ann', 'remembering the name')
  await logIn(page, 'Ann')
  await isLive(page)
  await shows(t, page, { todo: ['Of the new server'] }, 'after')
  await bob.create('Another')
  await shows(t, page, { todo: ['Another', 'Of the new server'] }, 'and goes on')
})

t.test('text that looks like a program stays text', { skip }, async (t) => {
  const board = await TaskBoard.serve(t)
  const bob = await board.visitor('Bob')
  const texts = [
    '<img src=x onerror="document.title = 1">',
    '<script>document.title = 1</script>',
    '</p><b>bold</b>&lt;i&gt;',
    'javascript:document.title = 1',
    '{{document.title = 1}}'
  ]
  const page = await openRoom(t, browser, board.url)
  const { length } = await page.locator('img, script, b, i').all()
  for (const text of texts) await bob.create(text)
  await shows(t, page, { todo: texts.toReversed() }, 'live')
  await page.reload()
  await shows(t, page, { todo: texts.toReversed() }, 'and loaded')
  t.equal((await page.locator('img, script, b, i').all()).length, length, 'no element has come of it')
  t.equal(await page.title(), 'Team A · Task board', 'and none has run')
})

t.test('the page may load nothing from elsewhere, and run nothing that is written into it', async (t) => {
  const { app } = await TaskBoard.serve(t)
  const { statusCode, headers } = await app.inject('/')
  t.equal(statusCode, 200)
  t.match(headers['content-type'], /^text\/html/)
  t.match(headers['content-security-policy'], /^default-src 'self'(?!.*unsafe)/)
})
