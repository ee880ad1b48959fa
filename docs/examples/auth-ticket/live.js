/** Statuses after which retrying is of no use. */
const FINAL = [400, 401, 403, 406]

/** `getToken` returns a valid token. `onEnd` gets the status, or 'stay-away', that has ended the stream for good. */
export function live(url, { getToken, topics = [], on, onEnd, delay = 1000 }) {
  // The plugin's own events carry an id to resume from, even before the first event of the app.
  const handlers = { connected() {}, keepalive() {}, ...on }
  let lastId = ''
  let wait = delay

  /** The stream's URL with a new ticket, since a ticket works once. */
  async function address() {
    const headers = { authorization: `Bearer ${await getToken()}` }
    const answer = await fetch('/ticket', { method: 'POST', headers })
    if (!answer.ok) throw Object.assign(new Error('no ticket'), { status: answer.status })
    const address = new URL(url, location.href)
    address.searchParams.set('ticket', (await answer.json()).ticket)
    for (const topic of topics) address.searchParams.append('topic', topic)
    if (lastId) address.searchParams.set('lastEventId', lastId)
    return address
  }

  async function open() {
    try {
      listen(await address())
    } catch (error) {
      again(error.status)
    }
  }

  function listen(address) {
    const source = new EventSource(address)
    let isOpen = false
    source.onopen = () => {
      isOpen = true
      wait = delay
    }
    for (const [name, handle] of Object.entries(handlers)) {
      source.addEventListener(name, ({ data, lastEventId }) => {
        lastId = lastEventId
        handle(JSON.parse(data))
      })
    }
    source.addEventListener('stay-away', () => {
      source.close()
      onEnd('stay-away')
    })
    source.onerror = async () => {
      source.close()
      again(isOpen ? undefined : await status())
    }
  }

  /** Asks why a stream did not open, which EventSource does not tell. HEAD passes the same checks. */
  async function status() {
    try {
      return (await fetch(await address(), { method: 'HEAD', headers: { accept: 'text/event-stream' } })).status
    } catch (error) {
      return error.status
    }
  }

  function again(status) {
    if (FINAL.includes(status)) return onEnd(status)
    setTimeout(open, wait * (0.5 + Math.random() / 2))
    wait = Math.min(wait * 2, 30_000)
  }

  open()
}
