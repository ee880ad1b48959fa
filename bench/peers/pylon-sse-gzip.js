import { setup as setupPlain } from './pylon-sse.js'

/** This plugin with `compress: true`: compressed once, for all clients. */
export function setup(app, options) {
  return setupPlain(app, { ...options, compress: true })
}
