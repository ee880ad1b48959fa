// Measures the heap.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Bytes on the heap once garbage is collected. */
export function heapUsed(): number {
  collect()
  collect()
  return process.memoryUsage().heapUsed
}
