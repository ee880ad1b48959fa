// Tests of docs/examples/frameworks in a browser, which pages.test.ts starts.
import { build } from 'esbuild'
import type { Browser, Page } from 'playwright-core'
import type { Test } from 'tap'
import { type Example, exampleFile, startExamples } from '../kit/example.js'

/** The pages of docs/examples/frameworks. */
const PAGES = ['react', 'vue', 'svelte', 'solid', 'angular', 'tanstack-query', 'swr', 'rxjs']

/** Has each page load a list, and follow what is added, by one connection. */
export async function testFrameworks(t: Test, browser: Browser): Promise<void> {
  const [example] = (await startExamples(t, ['frameworks/server.js'])).examples
  let count = 0
  const add = async () => {
    const title = `todo ${++count}`
    await example!.call('POST', '/todos', { title })
    return title
  }
  await add()
  const context = await browser.newContext()
  t.teardown(() => context.close())

  for (const name of PAGES) {
    await t.test(`${name}: the list is loaded, and what is added follows`, async (t) => {
      const { page, streams, errors } = await open(t, context, example!, name)
      await follows(page, add, count)
      t.equal(streams.length, 1)
      t.strictSame(errors, [])
    })
  }

  await t.test('react: with React 19, too, under StrictMode', async (t) => {
    const file = (module: string) => exampleFile(`../../node_modules/${module}`)
    const { outputFiles } = await build({
      entryPoints: [exampleFile('frameworks/pages/react.jsx')],
      bundle: true,
      format: 'esm',
      jsx: 'automatic',
      write: false,
      alias: { react: file('react-19'), 'react-dom': file('react-dom-19') }
    })
    const body = outputFiles[0]!.text
    t.match(body, /\bversion = "19\./)
    t.notMatch(body, /\bversion = "18\./)
    await context.route('**/react.js', (route) => route.fulfill({ contentType: 'text/javascript', body }))
    const { page, streams, errors } = await open(t, context, example!, 'react')
    await follows(page, add, count)
    t.equal(streams.length, 1)
    t.strictSame(errors, [])
  })
}

async function open(t: Test, context: { newPage(): Promise<Page> }, example: Example, name: string) {
  const page = await context.newPage()
  t.teardown(() => page.close())
  const streams: string[] = []
  page.on('request', (request) => {
    if (request.url().includes('/events')) streams.push(request.url())
  })
  const errors: Error[] = []
  page.on('pageerror', (error) => errors.push(error))
  await page.goto(`http://127.0.0.1:${example.port}/${name}`)
  return { page, streams, errors }
}

/** Resolves when the page has shown what was there, and two that are added. */
async function follows(page: Page, add: () => Promise<string>, before: number): Promise<void> {
  await page.waitForFunction(`document.querySelectorAll('li').length === ${before}`)
  await page.waitForSelector('text=/^open$/')
  for (let i = 1; i <= 2; i++) {
    const title = await add()
    await page.waitForSelector(`li >> text=/^${title}$/`)
    await page.waitForFunction(`document.querySelectorAll('li').length === ${before + i}`)
  }
}
