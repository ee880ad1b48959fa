import { type Browser, chromium } from 'playwright-core'
import type { Test } from 'tap'
import { requireBinary } from './binary.js'

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

/** A headless browser that ends with the test; undefined where there is none, after saying so: the test then returns. */
export async function launchChromium(t: Test, ...args: string[]): Promise<Browser | undefined> {
  const executablePath = requireBinary(t, 'chromium', process.env.CHROMIUM_PATH)
  if (executablePath === undefined) return undefined
  const browser = await chromium.launch({ executablePath, args: [...ARGS, ...args], headless: true })
  t.teardown(() => browser.close())
  return browser
}
