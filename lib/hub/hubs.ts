// Finds the hub of `app.sse` again, for the dashboard.

import type { Sse } from '../api/api.js'
import type { Hub } from './hub.js'

/** The hub of each `app.sse`. Entries of this package use it to look into a hub. */
export const hubs = new WeakMap<Sse, Hub>()
