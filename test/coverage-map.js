import { readdirSync } from 'node:fs'

const sources = readdirSync(new URL('../lib', import.meta.url), { recursive: true })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => `lib/${file}`)

/** Every test answers for every source, so that a file which no test loads counts as not covered. */
export default () => sources
