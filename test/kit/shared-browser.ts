// One browser for all tests of a process.

import type { Browser } from 'playwright-core'
import tap, { type Test } from 'tap'

/**
 * A browser that all tests of a process share, since to start one takes longer than most of them do. What a test has opened in
 * it is closed with the test, the browser itself with the process.
 */
export function sharedBrowser(launch: () => Promise<Browser>): (t: Test) => Promise<Browser> {
  let launched: Promise<Browser> | undefined
  return async (t) => {
    launched ??= launch().then((browser) => {
      tap.teardown(() => browser.close())
      return browser
    })
    const browser = await launched
    if (t !== tap) t.teardown(() => Promise.all(browser.contexts().map((context) => context.close())))
    return browser
  }
}
