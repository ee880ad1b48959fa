import type { Browser } from 'playwright-core'
import t, { type Test } from 'tap'
import sseDashboard from '../../../lib/entries/dashboard/dashboard.js'
import pylonSse from '../../../lib/index.js'
import { BROWSERS } from '../../kit/browsers.js'
import { serve } from '../../kit/server.js'

// A browser takes long to start on a busy machine.
t.setTimeout(300_000)

// One for all tests of it, as to start it takes longer than they do, and all before the first test: the file ends when
// its tests have.
const browsers = new Map<string, Browser | undefined>()
for (const [name, launch] of Object.entries(BROWSERS)) browsers.set(name, await launch(t))
for (const [name, browser] of browsers) if (browser !== undefined) testIn(name, browser)

async function stage(t: Test, browser: Browser, options: Parameters<Browser['newContext']>[0] = {}) {
  const s = await serve(t, {
    sse: false,
    setup: async (app) => {
      await app.register(pylonSse, { authorizeTopics: () => true })
      await app.register(sseDashboard, { unprotected: true, interval: 100, pauseTime: 600_000 })
    }
  })
  const context = await browser.newContext(options)
  t.teardown(() => context.close())
  const page = await context.newPage()
  const faults: string[] = []
  page.on('pageerror', (error) => faults.push(String(error)))
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(message.text())
  })
  await page.goto(`${s.url}/sse-dashboard`)
  await page.waitForSelector('#state.live')
  return { s, page, faults }
}

function testIn(name: string, browser: Browser): void {
  t.test(
    `in ${name} the page shows clients, rates and topics live, and can find, pause and close a client`,
    async (t) => {
      const { s, page, faults } = await stage(t, browser)
      const streams = [await s.connect({ query: { topic: 'orders.<b>7</b>' } }), await s.connect()]
      await page.waitForSelector('#clients tbody tr:nth-child(2)')
      t.equal(await page.textContent('.tile output'), '2')
      t.equal(await page.textContent('#topics tbody td'), 'orders.<b>7</b>', 'what clients say is text')
      const ended = { is: false }
      const speaking = (async () => {
        while (!ended.is) {
          s.app.sse.broadcast('now')
          await streams[1]!.next()
          await new Promise((resolve) => setTimeout(resolve, 10))
        }
      })()
      await page.waitForSelector('.tile:nth-child(2) output:not(:text-is("0"))')

      await page.fill('#query', 'orders')
      await page.waitForSelector('#clients tbody tr:only-child')
      await page.click('text=Pause')
      await page.waitForSelector('text=/\\d+ \\(paused\\)/')
      await page.click('text=Resume')
      await page.waitForSelector('#clients >> text=Pause')
      await page.click('#clients >> text=Close')
      await streams[0]!.waitForEnd()
      await page.waitForSelector('#disconnects >> text=closed')
      await page.fill('#query', '')
      await page.waitForSelector('#clients tbody tr:only-child')
      ended.is = true
      await speaking
      t.strictSame(faults, [], 'its policy has refused nothing, and nothing has failed')
      await s.app.close()
      await page.waitForSelector('#state.lost')
    }
  )

  t.test(`in ${name} the page fits a phone, and follows the dark mode of the system`, async (t) => {
    const colors: string[] = []
    for (const colorScheme of ['light', 'dark'] as const) {
      const { s, page, faults } = await stage(t, browser, { viewport: { width: 360, height: 740 }, colorScheme })
      await s.connect({ query: { topic: 'a-topic-with-a-name-that-is-longer-than-a-phone-is-wide.and-goes-on' } })
      await page.waitForSelector('#clients >> text=Close')
      const [needed, given] = await page.evaluate<number[]>('[document.documentElement.scrollWidth, innerWidth]')
      // Firefox takes the scrollbar from the page, Chromium lays it over the page.
      t.ok(needed! <= given! && given! <= 500, `nothing is wider than the screen: ${needed} of ${given} px`)
      colors.push(await page.evaluate<string>('getComputedStyle(document.body).backgroundColor'))
      t.strictSame(faults, [])
    }
    // A stock Firefox cannot be told which colors the system has.
    if (name === 'Chromium') t.not(colors[0], colors[1])
  })
}
