import type { Page } from 'playwright-core'
import type { Test } from 'tap'
import { card } from '../kit/board-page.js'
import { type BoardStage, goToLobby } from '../kit/board-stage.js'

const PHONE = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true }
/** What is smaller than a finger (WCAG 2.5.5), and what is wider than the page. */
const TOO_SMALL = `[...document.querySelectorAll('a, button, input, textarea')].flatMap((element) => {
  const { width, height } = element.getBoundingClientRect()
  const isSmall = width > 0 && (width < 44 || height < 44)
  return isSmall ? [\`\${element.outerHTML.slice(0, 60)}: \${width} x \${height}\`] : []
})`
const OVERHANG = 'document.documentElement.scrollWidth - innerWidth'

/** Mouse and fingers. */
export function hands(t: Test, stage: BoardStage): void {
  t.test('a finger can hit all that there is to touch, on a narrow screen', async (t) => {
    await stage.enterRoom([], [])
    const phone = await stage.open('Cy', 'team-b', PHONE)
    const fits = async (page: Page, where: string) => {
      t.strictSame(await page.evaluate(TOO_SMALL), [], where)
      t.equal(await page.evaluate(OVERHANG), 0, `nothing sticks out ${where}`)
    }
    t.ok(await phone.getByText('Nobody is on anything right now').isVisible())
    t.notOk(await phone.locator('.drop').isVisible(), 'it is not told to drag')
    const dan = await stage.board.visitor('Dan', 'team-b')
    const { id } = await dan.create('A title of several words, which goes on for more than a line')
    await dan.create(`${'x'.repeat(190)}`)
    await phone.getByTestId('task').nth(1).waitFor()
    await fits(phone, 'in a room')
    await dan.tasks('PATCH', `/${id}`, { status: 'doing' })
    await card(phone, 'x'.repeat(190)).getByTestId('task-edit').click()
    await phone.locator('[data-status=doing] .card').waitFor()
    await fits(phone, 'while a title is edited')
    await phone.getByTestId('editor-cancel').click()
    await phone.getByTestId('task-delete').first().click()
    await phone.getByRole('button', { name: 'Undo' }).waitFor()
    await fits(phone, 'with a notice')
    await goToLobby(phone)
    await fits(phone, 'in the lobby')
    await phone.getByTestId('logout').click()
    await fits(phone, 'at the door')
    await phone.context().close()
  })

  t.test('a mouse can drag a task to another column, as the page says', async (t) => {
    const { ann, bob } = stage
    await stage.enterRoom(['Drag me'])
    t.ok(await ann.getByText('or drop one here').isVisible())
    await card(ann, 'Drag me').dragTo(ann.locator('.column[data-status=done]'))
    for (const page of [ann, bob]) await card(page, 'Drag me').and(page.locator('[data-status=done] *')).waitFor()
    t.pass('it is there for both')
  })
}
