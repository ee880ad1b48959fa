// Starts Firefox.

import { type Browser, firefox } from 'playwright-core'
import type { Test } from 'tap'
import { findBinary, requireBinary } from './binary.js'
import { sharedBrowser } from './shared-browser.js'

/** A stock Firefox, driven over WebDriver BiDi. */
const openIn = sharedBrowser(() => {
  const executablePath = findBinary(process.env.FIREFOX_PATH ?? 'firefox-esr')!
  return firefox.launch({ executablePath, channel: 'moz-firefox', headless: true })
})

/** The headless Firefox of this process; undefined where there is none, after saying so: the test then returns. */
export async function launchFirefox(t: Test): Promise<Browser | undefined> {
  return requireBinary(t, 'firefox-esr', process.env.FIREFOX_PATH) === undefined ? undefined : openIn(t)
}
