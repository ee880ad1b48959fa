/** Statuses after which retrying is of no use. */
const FINAL = [400, 401, 403, 406]

/**
 * An event stream that also comes back after errors which end an EventSource for good.
 *
 * `load` fetches the whole state. It is called at first, and again if there is no id to resume from. `on` has a handler for
 * the data of each event, by name. `onEnd` is called once, when the server wants this page no more, with the status or with
 * 'stay-away'.
 */
export function live(url, { load, on, onEnd = (_reason) => {}, delay = 1000, withCredentials = false }) {
  let source
  let timer
  let lastId = ''
  let wait = delay
  let isOver = false

  function address() {
    const address = new URL(url, location.href)
    if (lastId) address.searchParams.set('lastEventId', lastId)
    return address
  }

  function open() {
    source = new EventSource(address(), { withCredentials })
    source.onopen = () => {
      wait = delay
      if (!lastId) load()
    }
    // The plugin's own `connected` and `keepalive` carry an id to resume from, even before the first event.
    for (const name of new Set(['connected', 'keepalive', ...Object.keys(on)])) {
      source.addEventListener(name, ({ data, lastEventId }) => {
        lastId = lastEventId
        on[name]?.(JSON.parse(data))
      })
    }
    source.addEventListener('stay-away', () => end('stay-away'))
    source.onerror = async () => {
      if (source.readyState !== EventSource.CLOSED) return // it reconnects by itself
      const status = await ask()
      if (isOver) return
      if (FINAL.includes(status)) return end(status)
      timer = setTimeout(open, wait * (0.5 + Math.random() / 2))
      wait = Math.min(wait * 2, 30_000)
    }
  }

  /** Asks for the status, which EventSource does not tell. HEAD passes the same checks, and opens no stream. */
  async function ask() {
    const headers = { accept: 'text/event-stream' }
    const credentials = withCredentials ? 'include' : 'same-origin'
    try {
      return (await fetch(address(), { method: 'HEAD', headers, credentials, cache: 'no-store' })).status
    } catch {
      return 0 // the server cannot be reached
    }
  }

  function end(reason) {
    close()
    onEnd(reason)
  }

  function close() {
    isOver = true
    clearTimeout(timer)
    source.close()
  }

  open()
  return { close }
}
