import { connect } from 'pylon-sse/client'

// #region transport
/**
 * A `ChatTransport` of the AI SDK, by which `useChat` sends and receives: a question is sent by POST, and the answer is a
 * run, which continues without its connection.
 */
export class RunTransport {
  /** After a reload a run is replayed from its beginning, so the SDK builds the message again. */
  resumeStreamIsReplay = true
  #answer

  /** @param {string | null} answer the id of the answer that was under way when the page was loaded */
  constructor(answer) {
    this.#answer = answer
  }

  async sendMessages({ chatId, messages, abortSignal }) {
    const response = await fetch(`/chats/${chatId}/messages`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ message: messages.at(-1) }), // the server has the others
      signal: abortSignal
    })
    if (!response.ok) throw new Error((await response.json()).message)
    this.#answer = (await response.json()).answer
    return chunksOf(this.#urlOf(chatId), abortSignal)
  }

  async reconnectToStream({ chatId, abortSignal }) {
    return this.#answer ? chunksOf(this.#urlOf(chatId), abortSignal) : null
  }

  /** Stops the model. `stop` of `useChat` would only stop to listen. */
  async stop(chatId) {
    await fetch(this.#urlOf(chatId), { method: 'DELETE' })
  }

  #urlOf(chatId) {
    return `/chats/${chatId}/answers/${this.#answer}`
  }
}

/** The chunks of an answer. A connection that breaks resumes where it was, without the SDK noticing. */
function chunksOf(url, signal) {
  const live = connect(url, { signal })
  return new ReadableStream({
    start(controller) {
      const off = live.onStatus((status) => {
        if (status.state === 'closed')
          controller.error(status.error ?? signal?.reason ?? new Error('There is no answer.'))
      })
      const end = (last) => {
        off()
        live.close()
        if (last) controller.enqueue(last)
        controller.close()
      }
      live.on('message', (chunk) => controller.enqueue(chunk))
      live.on('done', () => end())
      live.on('failed', ({ reason }) => {
        end(reason === 'stopped' ? { type: 'abort' } : { type: 'error', errorText: `The answer has ended: ${reason}.` })
      })
      live.on('resync', () => end({ type: 'error', errorText: 'The beginning of the answer is not held any more.' }))
      live.on('error', () => {}) // it tries again
    },
    cancel: () => live.close()
  })
}
// #endregion
