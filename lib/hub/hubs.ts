import type { Sse } from '../api/api.js'
import type { Hub } from './hub.js'

/** The hubs behind what apps see, for the entries of the package that look into one. */
export const hubs = new WeakMap<Sse, Hub>()
