// The app's named events, for the server's types and the client's. Types alone, without Node's: browsers' programs read them, too.

/**
 * The app's named events and their data. Declare them by interface merging; `broadcast`, `publish` and `client.send`
 * then check name and data, and `pylon-sse/client` knows what it gets. With nothing declared everything is allowed.
 *
 * @example
 * declare module 'pylon-sse' {
 *   interface SseEvents { 'todo.created': Todo }
 * }
 */
// biome-ignore lint/suspicious/noEmptyInterface: users add to it
export interface SseEvents {}
