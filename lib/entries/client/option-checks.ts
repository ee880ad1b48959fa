// The check of the options of `connect`: their names and types. What they mean is in options.ts.

/** Each option with the results of `typeof` that it takes. One string takes fewer bytes than an object. */
const TYPES =
  ' topics:object load:function isStale:function changeTopics:function headers:object|function credentials:string fetch:function onUnauthorized:function shared:boolean sharedKey:string signal:object storage:boolean|object lastEventId:string schemas:object retryDelay:number maxRetryDelay:number openTimeout:number pauseWhenHidden:boolean maxBuffered:number '

/** @throws TypeError that names the option, the type that it got, and what it takes */
export function checkOptions(options: Record<string, unknown>): void {
  for (const name in options) {
    const value = options[name]
    const takes = TYPES.split(` ${name}:`)[1]?.split(' ')[0]
    if (!takes || (value !== undefined && !takes.includes(typeof value))) {
      throw new TypeError(`The option '${name}' takes ${takes ?? 'nothing'}, but got ${typeof value}. Options:${TYPES}`)
    }
  }
}
