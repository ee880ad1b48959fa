/**
 * Whether a callback that is to answer at once has given a promise instead. What the promise rejects with is heard here:
 * the caller has an error of its own to tell, and an unhandled rejection would end the process.
 */
export function isUnaskedPromise(answer: unknown): boolean {
  if (typeof answer !== 'object' || answer === null || !('then' in answer)) return false
  Promise.resolve(answer).catch(() => {})
  return true
}
