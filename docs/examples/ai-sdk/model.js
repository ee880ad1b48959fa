import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { MockLanguageModelV3 } from 'ai/test'

const STEP = Number(process.env.STEP ?? 200)
const WORDS = 'It depends on what you ask and on how much time you give me to think about it'.split(' ')
const USAGE = {
  inputTokens: { total: 3, noCache: 3, cacheRead: undefined, cacheWrite: undefined },
  outputTokens: { total: 18, text: 18, reasoning: undefined }
}

/** In place of a language model, such as `openai('gpt-5-mini')`: says a word at a time, until it is told to stop. */
export const model = new MockLanguageModelV3({
  async doStream({ prompt, abortSignal }) {
    const [{ text }] = /** @type {any} */ (prompt.at(-1).content)
    const words = `${text}? ${WORDS.join(' ')}.`.split(' ')
    /** @type {any[]} */
    const chunks = [
      { type: 'text-start', id: '1' },
      ...words.map((word, i) => ({ type: 'text-delta', id: '1', delta: i === 0 ? word : ` ${word}` })),
      { type: 'text-end', id: '1' },
      { type: 'finish', finishReason: { unified: 'stop', raw: undefined }, usage: USAGE }
    ]
    async function* say() {
      for (const chunk of chunks) {
        yield chunk
        await sleep(STEP, undefined, { signal: abortSignal })
      }
    }
    return { stream: /** @type {any} */ (Readable.toWeb(Readable.from(say()))) }
  }
})
