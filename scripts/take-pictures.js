/**
 * Takes the pictures that the docs show, with Chromium (CHROMIUM_PATH, or the one in PATH). It takes what has been built:
 * `npm run build` comes first.
 *
 *   npm run docs:pictures                all
 *   npm run docs:pictures -- board       those of the example
 *   npm run docs:pictures -- dashboard   those of the live page
 */
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'
import { boardScene } from './pictures/board-scene.js'
import { dashboardScene } from './pictures/dashboard-scene.js'

const FOLDER = new URL('../docs/pictures/', import.meta.url)
const SCENES = { board: boardScene, dashboard: dashboardScene }

const wanted = process.argv.slice(2)
const unknown = wanted.find((name) => !(name in SCENES))
if (unknown !== undefined) {
  console.error(`There are no pictures of '${unknown}'. Name one of: ${Object.keys(SCENES).join(', ')}.`)
  process.exit(1)
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM_PATH ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu']
})
try {
  for (const name of wanted.length > 0 ? wanted : Object.keys(SCENES)) {
    const { pictures, open, close } = await SCENES[name]()
    try {
      for (const { name, ...options } of pictures) {
        const context = await browser.newContext(options)
        const page = await open(context)
        await page.screenshot({ path: fileURLToPath(new URL(`${name}.png`, FOLDER)) })
        await context.close()
      }
    } finally {
      await close()
    }
  }
} finally {
  await browser.close()
}
