// The app's named events, for the types of the server and of pylon-sse/client. Only types, and none of Node's, since
// programs for browsers import them, too.

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

/** Names that an event may have: the declared ones, or any if none is declared. */
export type EventName = keyof SseEvents extends never ? string : keyof SseEvents & string

/**
 * Data of an event by its name. An event without a name may have any data. The brackets keep the type from distributing
 * over a union, so that it also works in functions that are generic in the name.
 */
export type EventData<Name> = [Name] extends [keyof SseEvents] ? SseEvents[Name] : unknown
