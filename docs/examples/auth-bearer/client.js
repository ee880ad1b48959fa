import { EventSource } from 'eventsource'

export function listen(url, getToken) {
  return new EventSource(url, {
    async fetch(input, init) {
      const authorization = `Bearer ${await getToken()}`
      return fetch(input, { ...init, headers: { ...init.headers, authorization } })
    }
  })
}
