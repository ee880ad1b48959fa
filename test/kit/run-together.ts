// Runs the tests of several files in one process, once all of the files are loaded. If some started while a file still starts its
// programs, and were over before it has, tap would end the run.

import t from 'tap'

let setLoaded!: () => void

t.test('the files are loaded', async () => {
  await new Promise<void>((resolve) => {
    setLoaded = resolve
  })
})

/** Called after the imports of the files, of which this one must be the first. */
export function runTogether(): void {
  t.setTimeout(600_000)
  setLoaded()
}
