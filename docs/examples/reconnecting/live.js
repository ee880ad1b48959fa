/** Answers after which asking again is of no use. */
const FINAL = [400, 401, 403, 406]

/**
 * An event stream that comes back after errors, too, which end an EventSource for good.
 *
 * `load` fetches the whole state: it is called at first, and again where there is no place to go on from. `on` has a
 * handler of the data for each name of an event. `onEnd` is called once, when the server wants this page no more: with
 * the status, or with 'stay-away'.
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
    // The plugin's own `connected` and `keepalive` tell where to go on from before the first event comes.
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

  /** EventSource does not tell the status of an answer; a HEAD request passes the same checks, and opens no stream. */
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
