/**
 * The app's named events and their data. Declare them by interface merging; `broadcast`, `publish` and `client.send`
 * then check name and data. With nothing declared everything is allowed.
 *
 * @example
 * declare module 'pylon-sse' {
 *   interface SseEvents { 'todo.created': Todo }
 * }
 */
// biome-ignore lint/suspicious/noEmptyInterface: users add to it
export interface SseEvents {}

/** Names that an event may have: those declared, or any where none is. */
export type EventName = keyof SseEvents extends never ? string : keyof SseEvents & string

/**
 * Data of an event by its name. An event without a name has any: it is a `message`, whose data nobody has declared. The
 * brackets keep it from being distributed, so that it holds in functions that are generic in the name, too.
 */
export type EventData<Name> = [Name] extends [keyof SseEvents] ? SseEvents[Name] : unknown
