// The waits of pylon-sse/testing, for the package's own tests.

import { Watch as LibWatch } from '../../lib/entries/testing/watch.js'
import { PATIENCE } from './patience.js'

/** State that changes, and the promises that wait on it: every awaitable of the kit is a look at such state. */
export class Watch extends LibWatch {
  /** `describe` says what has been seen so far, for the error of a wait that came to nothing. */
  constructor(describe: () => string) {
    super(() => `Seen so far: ${describe()}`, PATIENCE)
  }
}
