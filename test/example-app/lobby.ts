import type { Test } from 'tap'
import { add, isLive, says, shows } from '../kit/board-page.js'
import { type BoardStage, goToLobby } from '../kit/board-stage.js'

/** The list of rooms. */
export function lobby(t: Test, stage: BoardStage): void {
  const { ann, bob } = stage

  t.test('new rooms and invitations show in the lobby at once', async (t) => {
    await stage.enterRoom()
    await goToLobby(ann)
    await goToLobby(bob)
    const dan = await stage.board.visitor('Dan')
    await dan.call('POST', '/api/rooms', { title: 'Café & Küche' })
    // A notice stays for some seconds only.
    const noticed = says(bob, 'notice', 'Dan has invited you to “For Bob”')
    await Promise.all([noticed, dan.call('POST', '/api/rooms', { title: 'For Bob', members: ['bob'] })])
    for (const page of [ann, bob]) {
      await page.getByTestId('room').filter({ hasText: 'Café & Küche #café-küche For everyone' }).waitFor()
    }
    await bob.getByTestId('room').filter({ hasText: 'For Bob #for-bob Only for Dan, bob' }).waitFor()
    t.equal(await ann.getByText('For Bob').count(), 0, 'those who are not invited hear nothing')
  })

  t.test('a room is made on the page, and its URL lets in those who may', async (t) => {
    const { ann, bob, board } = stage
    await stage.enterRoom(['Of another room'])
    const other = new URL(bob.url()).hash
    await goToLobby(ann)
    const [title, only, submit] = [
      ann.getByTestId('room-title'),
      ann.getByTestId('room-only-for'),
      ann.getByTestId('room-submit')
    ]
    await title.fill('***')
    await submit.click()
    await says(
      ann,
      'room-error',
      "A room's name takes up to 32 visible characters, and at least one of them is a letter"
    )
    await title.fill('Ann & Bob')
    await says(ann, 'room-preview', '#ann-bob')
    await only.fill('Bob; Cy')
    await submit.click()
    await says(ann, 'room-error', /^A person's name takes up to 30 letters, digits, .*: not “Bob; Cy”$/)
    t.equal(await title.inputValue(), 'Ann & Bob', 'what was typed is still there')
    await only.fill('Bob')
    await submit.click()
    await says(ann, 'room-slug', '#ann-bob')
    await isLive(ann)
    t.match(ann.url(), /#ann-bob$/)
    t.equal(await ann.getByRole('heading', { level: 1 }).textContent(), 'Ann & Bob', 'beside the name as it was typed')
    await add(ann, 'Of two')

    await bob.goto(`${board.url}/#ann-bob`)
    await shows(t, bob, { todo: ['Of two'] }, 'a board of its own')
    await bob.goBack()
    await shows(t, bob, { todo: ['Of another room'] }, 'beside the others, where the back button leads')
    t.equal(new URL(bob.url()).hash, other)
    await bob.goForward()
    await shows(t, bob, { todo: ['Of two'] }, 'and forth')

    await bob.getByTestId('logout').click()
    await bob.getByTestId('login-name').fill('Cy')
    await bob.getByTestId('login-submit').click()
    await says(bob, 'notice', 'There is no room “ann-bob”, or it is not for you')
    t.notMatch(bob.url(), 'ann-bob')
    t.equal(await bob.getByText('Ann & Bob').count(), 0)
    await bob.getByTestId('logout').click()
    await bob.getByTestId('login-name').fill('Bob')
    await bob.getByTestId('login-submit').click()
    await isLive(bob)
  })
}
