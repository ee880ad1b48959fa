// The real browsers that tests run in. How each is started is in chromium.ts and firefox.ts.

import type { Browser } from 'playwright-core'
import type { Test } from 'tap'
import { launchChromium } from './chromium.js'
import { launchFirefox } from './firefox.js'

/** The real browsers that tests run in, by name. Each is driven by the same API. */
export const BROWSERS: Readonly<Record<string, (t: Test) => Promise<Browser | undefined>>> = {
  Chromium: launchChromium,
  Firefox: launchFirefox
}
