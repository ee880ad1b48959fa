import type { Test } from 'tap'
import { add, asksWhoItIs, isLive, logIn, openTab, says, shows } from '../kit/board-page.js'
import type { BoardStage } from '../kit/board-stage.js'
import { TaskBoard } from '../kit/task-board.js'

/** Login and logout on the page. To be run last: the server that the others use is gone then. */
export function door(t: Test, stage: BoardStage): void {
  const { ann, bob, relay } = stage

  t.test('a tab follows whoever logs in anew in its browser', async (t) => {
    await stage.enterRoom()
    const login = `{ method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"name":"Eve"}' }`
    t.equal(await bob.evaluate(`fetch('/api/login', ${login}).then(({ status }) => status)`), 200)
    await says(bob, 'my-name', 'Eve')
    await isLive(bob)
    await says(bob, 'people', /^AAnnEEve \(you\)$/)
    await add(bob, 'By Eve')
    await shows(t, bob, { todo: ['By Eve'] }, 'and works on')
  })

  t.test('logging out in one tab logs out the others of this browser', async (t) => {
    await stage.enterRoom()
    const bobAgain = await openTab(bob)
    await bobAgain.getByTestId('logout').click()
    await asksWhoItIs(bobAgain)
    await asksWhoItIs(bob)
    await says(bob, 'login-reason', 'You are logged out, here or in another tab.')
    await says(ann, 'people', /^AAnn \(you\)$/)
    t.pass('and the room hears of it')
    await bobAgain.close()
  })

  t.test('the page asks for a name, and says that there is no password', async (t) => {
    await bob.reload()
    await asksWhoItIs(bob)
    t.ok(await bob.getByText('There is no password').isVisible())
    t.equal(await bob.getByTestId('connection').isVisible(), false, 'before that it shows nothing of a room')
    await bob.getByTestId('login-name').fill('<b>')
    await bob.getByTestId('login-submit').click()
    await says(bob, 'login-error', /^A person's name takes up to 30 letters, digits, .*: not “<b>”$/)
    await bob.evaluate("history.replaceState(null, '', '/')")
    await logIn(bob, 'Bob')
    await bob.getByTestId('room').filter({ hasText: 'Team B' }).click()
    await says(bob, 'room-slug', '#team-b')
    await isLive(bob)
    t.match(bob.url(), /#team-b$/)
  })

  t.test(
    'a tab that comes to a server with another database says so, asks who it is, and shows its board then',
    async (t) => {
      await stage.enterRoom([], [ann])
      await (await stage.board.visitor('Dan')).create('Of the old server')
      await ann.evaluate("location.hash = 'team-a'")
      await shows(t, ann, { todo: ['Of the old server'] }, 'before')

      const after = await TaskBoard.serve(t)
      const dan = await after.visitor('Dan')
      await dan.create('Of the new server')
      relay.target = after.port
      await stage.board.app.close()
      await asksWhoItIs(ann)
      await says(ann, 'login-reason', 'This server does not know your login: log in again.')
      t.equal(await ann.getByTestId('login-name').inputValue(), 'Ann', 'remembering the name')
      await logIn(ann, 'Ann')
      await isLive(ann)
      await shows(t, ann, { todo: ['Of the new server'] }, 'after')
      await dan.create('Another')
      await shows(t, ann, { todo: ['Another', 'Of the new server'] }, 'and goes on')
    }
  )
}
