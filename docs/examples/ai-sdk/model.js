import { simulateReadableStream } from 'ai'
import { MockLanguageModelV3 } from 'ai/test'

const WORDS = 'It depends on what you ask and on how much time you give me to think about it'.split(' ')
const USAGE = {
  inputTokens: { total: 3, noCache: 3, cacheRead: undefined, cacheWrite: undefined },
  outputTokens: { total: 18, text: 18, reasoning: undefined }
}

/** In place of a language model, such as `openai('gpt-5-mini')`: says a word at a time. */
export const model = new MockLanguageModelV3({
  async doStream({ prompt }) {
    const [{ text }] = /** @type {any} */ (prompt.at(-1).content)
    const words = `${text}? ${WORDS.join(' ')}.`.split(' ')
    /** @type {any[]} */
    const chunks = [
      { type: 'text-start', id: '1' },
      ...words.map((word, i) => ({ type: 'text-delta', id: '1', delta: i === 0 ? word : ` ${word}` })),
      { type: 'text-end', id: '1' },
      { type: 'finish', finishReason: { unified: 'stop', raw: undefined }, usage: USAGE }
    ]
    const chunkDelayInMs = Number(process.env.STEP ?? 200)
    return { stream: simulateReadableStream({ initialDelayInMs: 0, chunkDelayInMs, chunks }) }
  }
})
