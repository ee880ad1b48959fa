import { type Browser, firefox } from 'playwright-core'
import type { Test } from 'tap'
import { requireBinary } from './binary.js'

/**
 * A headless Firefox that ends with the test; undefined where there is none, after saying so: the test then returns. It
 * is a stock Firefox, driven over WebDriver BiDi.
 */
export async function launchFirefox(t: Test): Promise<Browser | undefined> {
  const executablePath = requireBinary(t, 'firefox-esr', process.env.FIREFOX_PATH)
  if (executablePath === undefined) return undefined
  const browser = await firefox.launch({ executablePath, channel: 'moz-firefox', headless: true })
  t.teardown(() => browser.close())
  return browser
}
