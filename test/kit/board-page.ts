// The page of the example in a browser, as tests use it.

import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core'
import type { Test } from 'tap'
import { PATIENCE } from './patience.js'

/** Opens the example in a tab of its own, where nobody is logged in yet. */
export async function openPage(
  t: Test,
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {}
): Promise<Page> {
  const context = await browser.newContext(options)
  t.teardown(() => context.close())
  const page = await newTab(context)
  await page.goto(url)
  return page
}

async function newTab(context: BrowserContext): Promise<Page> {
  const page = await context.newPage()
  page.setDefaultTimeout(2 * PATIENCE)
  if (context.browser()!.browserType().name() === 'chromium') {
    // Painting the fading of what has changed took a third of the time that all scenarios need.
    const session = await context.newCDPSession(page)
    await session.send('Animation.setPlaybackRate', { playbackRate: 100 })
  }
  return page
}

/** Another tab of the same browser, which is logged in already. */
export async function openTab(page: Page): Promise<Page> {
  const tab = await newTab(page.context())
  await tab.goto(page.url())
  await isLive(tab)
  return tab
}

export async function logIn(page: Page, name: string): Promise<void> {
  await page.getByTestId('login-name').fill(name)
  await page.getByTestId('login-submit').click()
  await page.getByTestId('login-name').waitFor({ state: 'hidden' })
}

/** Resolves when the page asks for a name. */
export function asksWhoItIs(page: Page): Promise<void> {
  return page.getByTestId('login-name').waitFor()
}

export function isLive(page: Page): Promise<void> {
  return says(page, 'connection', 'Live')
}

export async function says(page: Page, testId: string, text: string | RegExp): Promise<void> {
  await page.getByTestId(testId).filter({ hasText: text }).waitFor()
}

/** In the page, since its policy forbids the `eval` that Playwright would look again and again with. */
const columnsOnce = (expected: string, ms: number) => `new Promise((resolve) => {
  const read = () => JSON.stringify([...document.querySelectorAll('.column')].map((column) =>
    [...column.querySelectorAll('[data-testid=task-title]')].map((title) => title.textContent)))
  const finish = () => { observer.disconnect(); resolve(read()) }
  const observer = new MutationObserver(() => { if (read() === ${JSON.stringify(expected)}) finish() })
  observer.observe(document.body, { childList: true, characterData: true, subtree: true })
  if (read() === ${JSON.stringify(expected)}) finish()
  setTimeout(finish, ${ms})
})`

/** The titles in the columns, once they are these. */
export async function shows(
  t: Test,
  page: Page,
  columns: { todo?: string[]; doing?: string[]; done?: string[] },
  what: string
): Promise<void> {
  const { todo = [], doing = [], done = [] } = columns
  const expected = JSON.stringify([todo, doing, done])
  t.equal(await page.evaluate(columnsOnce(expected, PATIENCE)), expected, what)
}

export function card(page: Page, title: string) {
  return page.getByTestId('task').filter({ has: page.getByText(title, { exact: true }) })
}

/** Adds a task as a visitor would. */
export async function add(page: Page, title: string): Promise<void> {
  await page.getByTestId('new-title').fill(title)
  await page.getByTestId('new-submit').click()
}

/** The test id of what has the focus, or else its tag. */
export function focused(page: Page): Promise<string> {
  return page.evaluate('document.activeElement.dataset.testid ?? document.activeElement.tagName')
}

/** Begins to edit the title of a task, and types another one. */
export async function retype(page: Page, title: string, typed: string): Promise<void> {
  await card(page, title).getByTestId('task-edit').click()
  await page.getByTestId('editor-title').fill(typed)
}
