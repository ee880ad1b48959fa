// The example with a room that people work in, for its pictures.

import { PGlite } from '@electric-sql/pglite'
import { buildApp } from '../../example-app/app.js'
import { shareOf } from '../../example-app/database/database.js'

const TASKS = [
  ['done', 'Ask the neighbours for chairs'],
  ['done', 'Set the date'],
  ['doing', 'Bake rye bread'],
  ['todo', 'String the lights between the trees'],
  ['doing', 'Write the invitations, and send them before the weekend'],
  ['todo', 'Pick a playlist'],
  ['todo', 'Buy lemons, mint and ice']
]
const pictures = [
  { name: 'board-light', colorScheme: 'light', viewport: { width: 1100, height: 590 }, deviceScaleFactor: 1.5 },
  { name: 'board-dark', colorScheme: 'dark', viewport: { width: 1100, height: 590 }, deviceScaleFactor: 1.5 },
  { name: 'board-phone-light', colorScheme: 'light', viewport: { width: 390, height: 800 }, deviceScaleFactor: 1.5 },
  { name: 'board-phone-dark', colorScheme: 'dark', viewport: { width: 390, height: 800 }, deviceScaleFactor: 1.5 }
]

/** Starts the example. @returns its pictures, what opens the page that is to be taken, and what ends it all */
export async function boardScene() {
  const app = buildApp({ database: shareOf(await PGlite.create()) })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  const ends = new AbortController()
  const people = await Promise.all(['Bob', 'Zoë', 'Maja'].map((name) => logIn(url, name)))
  const call = async (method, path, body) => {
    const response = await fetch(url + path, {
      method,
      headers: { ...people[0], ...JSON_TYPE },
      body: JSON.stringify(body)
    })
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
    return response.json()
  }
  await call('POST', '/api/rooms', { title: 'Garden party' })
  for (const [status, title] of TASKS) {
    const { row_id: id } = await call('POST', '/api/rooms/garden-party/tasks', { title })
    if (status !== 'todo') await call('PATCH', `/api/rooms/garden-party/tasks/${id}`, { status })
  }
  for (const headers of people) {
    const stream = await fetch(`${url}/events?topic=room.garden-party`, { headers, signal: ends.signal })
    stream.body.pipeTo(new WritableStream()).catch(() => {})
  }

  return {
    pictures,
    async open(context) {
      const { isNarrow, page } = await openRoom(context, url)
      if (!isNarrow) return page
      // On a phone, what a second tab shows.
      const second = await context.newPage()
      await second.goto(`${url}/#garden-party`)
      await isReady(second)
      return second
    },
    async close() {
      ends.abort()
      await app.close()
    }
  }
}

const JSON_TYPE = { 'content-type': 'application/json' }

async function logIn(url, name) {
  const response = await fetch(`${url}/api/login`, {
    method: 'POST',
    headers: JSON_TYPE,
    body: JSON.stringify({ name })
  })
  return { cookie: response.headers.get('set-cookie').replace(/;.*/, '') }
}

async function openRoom(context, url) {
  const page = await context.newPage()
  await page.goto(`${url}/#garden-party`)
  await page.getByTestId('login-name').fill('Ann')
  await page.getByTestId('login-submit').click()
  await isReady(page)
  return { page, isNarrow: page.viewportSize().width < 700 }
}

/** Resolves when the page has the rows, and says that the people of the scene are here, Ann among them. */
async function isReady(page) {
  await page.getByTestId('connection').filter({ hasText: 'Live' }).waitFor()
  await page.getByTestId('people').filter({ hasText: 'Ann (you)' }).filter({ hasText: 'Zoë' }).waitFor()
  // Nothing fades any more.
  await page.waitForTimeout(2500)
}
