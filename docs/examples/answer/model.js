import { setTimeout as sleep } from 'node:timers/promises'

const STEP = Number(process.env.STEP ?? 200)
const WORDS = 'It depends on what you ask and on how much time you give me to think about it'.split(' ')

/** In place of a language model: says a word at a time, until it is told to stop. */
export async function* tokensOf(question, signal) {
  for (const [i, word] of `${question}? ${WORDS.join(' ')}.`.split(' ').entries()) {
    await sleep(STEP, undefined, { signal })
    yield i === 0 ? word : ` ${word}`
  }
}
