// Starts Chromium.

import { type Browser, chromium } from 'playwright-core'
import type { Test } from 'tap'
import { findBinary, requireBinary } from './binary.js'
import { sharedBrowser } from './shared-browser.js'

/** To start a process for each page takes longer than most tests. */
const ONE_PROCESS = '--renderer-process-limit=1'
const ARGS = [
  // Chromium refuses to run as root, which a container's user is, with its sandbox.
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // Its own calls home fail at once instead of leaving the machine.
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost'
]

const launch = (args: string[]) =>
  chromium.launch({ executablePath: findBinary(process.env.CHROMIUM_PATH ?? 'chromium')!, args, headless: true })
const openIn = sharedBrowser(() => launch([...ARGS, ONE_PROCESS]))

/** The headless browser of this process; undefined where there is none, after saying so: the test then returns. */
export async function launchChromium(t: Test): Promise<Browser | undefined> {
  return requireBinary(t, 'chromium', process.env.CHROMIUM_PATH) === undefined ? undefined : openIn(t)
}

/** A headless browser of this test, in which each page has a process of its own, which can crash. */
export async function launchChromiumWithProcesses(t: Test): Promise<Browser | undefined> {
  if (requireBinary(t, 'chromium', process.env.CHROMIUM_PATH) === undefined) return undefined
  const browser = await launch(ARGS)
  t.teardown(() => browser.close())
  return browser
}
