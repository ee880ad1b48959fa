// The page's requests to the API, with errors that can be shown to people.

const PATIENCE = 10_000

/** A request that failed. Without an answer of the server it has no `status` and no `code`. */
export class RequestError extends Error {
  constructor(message, { status, code } = {}) {
    super(message)
    this.status = status
    this.code = code
  }
}

/** @param {{ body?: unknown, clientId?: string }} [options] `clientId`: the stream that does not need to hear of the change */
export async function request(method, url, { body, clientId } = {}) {
  const headers = {}
  if (body) headers['content-type'] = 'application/json'
  if (clientId) headers['x-client-id'] = clientId
  const signal = AbortSignal.timeout(PATIENCE)
  const response = await fetch(url, { method, headers, body: body && JSON.stringify(body), signal }).catch(giveUp)
  if (response.status === 204) return undefined
  const answer = await response.json().catch((error) => (response.ok ? giveUp(error) : {}))
  if (response.ok) return answer
  const { message = `The server answered ${response.status}.`, code } = answer
  throw new RequestError(message, { status: response.status, code })
}

function giveUp({ name }) {
  if (name !== 'TimeoutError')
    throw new RequestError('Nothing is saved: the server cannot be reached. Try again in a moment.')
  // Over HTTP/1.1 a browser opens at most six connections to a site, and each open board keeps one.
  throw new RequestError(
    'No answer. If six tabs of this board are open, close one: the browser has no more connections.'
  )
}
