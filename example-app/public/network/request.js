// The page's requests to the API, with errors that can be shown to people.

const PATIENCE = 10_000

/** A request that failed. Without an answer of the server it has no `status`; its `code` is `NO_ANSWER` if there was none in time. */
export class RequestError extends Error {
  constructor(message, { status, code } = {}) {
    super(message)
    this.status = status
    this.code = code
  }
}

/** @param {{ body?: unknown, signal?: AbortSignal }} [options] `signal` ends the request before its time is over */
export async function request(method, url, { body, signal } = {}) {
  const headers = body && { 'content-type': 'application/json' }
  const timeout = AbortSignal.timeout(PATIENCE)
  const ends = signal ? AbortSignal.any([signal, timeout]) : timeout
  const init = { method, headers, body: body && JSON.stringify(body), signal: ends }
  const response = await fetch(url, init).catch(giveUp)
  if (response.status === 204) return undefined
  const answer = await response.json().catch((error) => (response.ok ? giveUp(error) : {}))
  if (response.ok) return answer
  const { message = `The server answered ${response.status}.`, code } = answer
  throw new RequestError(message, { status: response.status, code })
}

function giveUp({ name }) {
  if (name !== 'TimeoutError')
    throw new RequestError('Nothing is saved: the server cannot be reached. Try again in a moment.')
  // Over HTTP/1.1 a browser opens at most six connections to a site. Each room that is open keeps one, or each tab, where tabs
  // cannot share them: they can over HTTPS and on localhost.
  throw new RequestError(
    'No answer. If this board is open in six tabs or more, close one: the browser may have no more connections.',
    { code: 'NO_ANSWER' }
  )
}
