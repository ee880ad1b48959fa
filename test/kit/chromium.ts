// Starts Chromium.

import { type Browser, chromium } from 'playwright-core'
import type { Test } from 'tap'
import { findBinary, requireBinary } from './binary.js'
import { sharedBrowser } from './shared-browser.js'

const ARGS = [
  // Chromium refuses to run as root, which a container's user is, with its sandbox.
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // To start a process for each page takes longer than most tests.
  '--renderer-process-limit=1',
  // Its own calls home fail at once instead of leaving the machine.
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost'
]

const openIn = sharedBrowser(() =>
  chromium.launch({ executablePath: findBinary(process.env.CHROMIUM_PATH ?? 'chromium')!, args: ARGS, headless: true })
)

/** The headless browser of this process; undefined where there is none, after saying so: the test then returns. */
export async function launchChromium(t: Test): Promise<Browser | undefined> {
  return requireBinary(t, 'chromium', process.env.CHROMIUM_PATH) === undefined ? undefined : openIn(t)
}
