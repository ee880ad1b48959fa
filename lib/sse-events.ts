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

/**
 * Arguments of what sends an event. Where events are declared, a named one takes its own data, and one without a name
 * any: it is a `message`, whose data nobody has declared.
 */
export type EventArguments<Options extends { event?: string | undefined }> = keyof SseEvents extends never
  ? [data: unknown, options?: Options]
  : NamedEvent<Options> | [data: unknown, options?: Omit<Options, 'event'> & { event?: undefined }]

type NamedEvent<Options> = {
  [Name in keyof SseEvents]: [data: SseEvents[Name], options: Omit<Options, 'event'> & { event: Name }]
}[keyof SseEvents]
