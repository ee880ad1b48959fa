// Holds the tests of files that run in one process back until all of them are loaded. Without that tap may end the run while a file
// still starts its programs, if those before it have few tests, such as where there is no browser.

import t from 'tap'

let release!: () => void

t.test('the files are loaded', async () => {
  await new Promise<void>((resolve) => {
    release = resolve
  })
})

export function releaseTests(): void {
  release()
}
