// This plugin with compression.

import { setup as setupPlain } from './pylon-sse.js'

/** This plugin with `compress: true`: each event is compressed once, for all clients. */
export function setup(app, options) {
  return setupPlain(app, { ...options, compress: true })
}
