// What the options of `connect` may be, as far as that can be told before they are used.

/** The options, each with what `typeof` may say of its value. */
const TYPES =
  ' topics:object load:function isStale:function changeTopics:function headers:object|function credentials:string fetch:function onUnauthorized:function shared:boolean sharedKey:string signal:object storage:boolean|object lastEventId:string schemas:object retryDelay:number maxRetryDelay:number openTimeout:number pauseWhenHidden:boolean maxBuffered:number '

/** @throws TypeError that names the option, what it got and what it takes */
export function checkOptions(options: Record<string, unknown>): void {
  for (const name in options) {
    const value = options[name]
    const takes = TYPES.split(` ${name}:`)[1]?.split(' ')[0]
    if (!takes || (value !== undefined && !takes.includes(typeof value))) {
      throw new TypeError(
        `The option '${name}' takes ${takes ?? 'nothing'}, but has got ${typeof value}. Options:${TYPES}`
      )
    }
  }
}
