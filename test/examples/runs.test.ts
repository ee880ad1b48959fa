import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { launchChromium } from '../kit/chromium.js'
import { type Example, startExamples } from '../kit/example.js'
import { TcpProxy } from '../kit/tcp-proxy.js'

// Processes and pages take long to start on a busy machine.
t.setTimeout(300_000)

const { examples } = await startExamples(
  t,
  ['answer/server.js', { STEP: '60' }],
  ['rooms/server.js'],
  ['rows/server.js', { STEP: '5' }],
  ['progress/server.js', { STEP: '5' }],
  ['ai-sdk/server.js', { STEP: '60' }]
)
const [answer, rooms, rows, progress, chat] = examples

/** The cookie of a user. */
async function login(example: Example, name: string): Promise<{ cookie: string }> {
  const { headers } = await example.call('POST', '/login', { name })
  return { cookie: headers.get('set-cookie')!.split(';')[0]! }
}

const answerTo = (question: string) =>
  `${question}? It depends on what you ask and on how much time you give me to think about it.`
const QUESTION = 'why'
const TEXT = answerTo(QUESTION)

const chromium = await launchChromium(t)
if (chromium !== undefined) {
  const open = async (t: Test, port = answer!.port): Promise<Page> => {
    const context = await chromium.newContext()
    t.teardown(() => context.close())
    const page = await context.newPage()
    await page.goto(`http://127.0.0.1:${port}/`)
    return page
  }
  const ask = async (page: Page, question = QUESTION) => {
    await page.fill('[name=question]', question)
    await page.click('text=Ask')
    await page.waitForFunction('answer.textContent.split(" ").length > 3')
  }

  t.test('answer: a page that is reloaded in the middle gets every piece once', async (t) => {
    const page = await open(t)
    await ask(page)
    await page.reload()
    await page.waitForFunction('answer.textContent !== ""')
    t.ok(TEXT.startsWith((await page.textContent('#answer'))!))
    await page.waitForSelector('text=Done.')
    t.equal(await page.textContent('#answer'), TEXT)
    await page.reload()
    await page.waitForSelector('text=Done.')
    t.equal(await page.textContent('#answer'), TEXT, 'after its end, too')
  })

  t.test('answer: a client whose connection breaks resumes where it was', async (t) => {
    const proxy = await TcpProxy.to(t, answer!.port)
    const page = await open(t, proxy.port)
    await ask(page)
    proxy.cut()
    proxy.mend()
    await page.waitForSelector('text=Done.')
    t.equal(await page.textContent('#answer'), TEXT)
  })

  t.test('answer: it can be stopped, and only its user can read it', async (t) => {
    const page = await open(t)
    await ask(page, 'why '.repeat(1000))
    await page.click('text=Stop')
    await page.waitForSelector('text=stopped')
    t.ok((await page.textContent('#answer'))!.length < 4000)
    const id = new URL(page.url()).hash.slice(1)
    const eve = await login(answer!, 'eve')
    t.equal((await answer!.call('GET', `/answers/${id}`, undefined, eve)).status, 404)
    t.equal((await answer!.call('DELETE', `/answers/${id}`, undefined, eve)).status, 404)
  })

  const begin = async (page: Page, question: string) => {
    await page.fill('[name=question]', question)
    await page.click('text=Ask')
    await page.waitForFunction('(document.querySelector("li.assistant")?.textContent ?? "").split(" ").length > 3')
  }
  const said = async (page: Page) => [await page.textContent('.user'), await page.textContent('.assistant')]

  /** Reloads a page in the middle of an answer: the slower the machine, the longer the answer that it takes. */
  const reloadInTheMiddle = async (t: Test, port: number) => {
    for (const words of [1, 40, 300]) {
      const question = 'why '.repeat(words).trim()
      const page = await open(t, port)
      await begin(page, question)
      const half = (await page.textContent('.assistant'))!
      await page.reload()
      await page.waitForFunction(`document.querySelector('.assistant')?.textContent.length >= ${half.length}`)
      if ((await page.textContent('#state')) === 'streaming') return { page, question }
    }
    throw new Error('each answer was over before its page was there again')
  }

  t.test(
    'ai-sdk: useChat goes on with an answer after a reload in the middle, and after its connection broke',
    async (t) => {
      const proxy = await TcpProxy.to(t, chat!.port)
      const { page, question } = await reloadInTheMiddle(t, proxy.port)
      proxy.cut()
      proxy.mend()
      await page.waitForSelector('text=ready', { timeout: 120_000 })
      t.strictSame(await said(page), [question, answerTo(question)])
      await page.reload()
      await page.waitForSelector('text=ready')
      t.strictSame(await said(page), [question, answerTo(question)], 'the server has kept it')
      t.equal(await page.locator('li').count(), 2)
    }
  )

  t.test('ai-sdk: an answer is stopped at the model, and the text so far is kept', async (t) => {
    const page = await open(t, chat!.port)
    const long = 'why '.repeat(1000)
    await begin(page, long)
    await page.click('text=Stop')
    await page.waitForSelector('text=ready')
    const text = await said(page)
    t.ok(text[1]!.length < 4000)
    await page.reload()
    await page.waitForSelector('text=ready')
    t.strictSame(await said(page), text)
    await page.fill('[name=question]', QUESTION)
    await page.click('text=Ask')
    await page.waitForSelector(`li >> text=${TEXT}`)
    t.equal(await page.locator('li').count(), 4, 'and the chat goes on')

    const id = new URL(page.url()).hash.slice(1)
    const eve = await login(chat!, 'eve')
    t.strictSame(await chat!.json('GET', `/chats/${id}`, undefined, eve), { messages: [], answer: null })
  })
}

t.test('rooms: members get the messages of their room until they leave it', async (t) => {
  const [ann, eve] = [await login(rooms!, 'ann'), await login(rooms!, 'eve')]
  t.equal((await rooms!.call('GET', '/rooms/1/events', undefined, eve)).status, 404)
  t.equal((await rooms!.call('GET', '/rooms/1/events')).status, 401)
  const client = await rooms!.listen('/rooms/1/events', { headers: ann })
  t.equal((await rooms!.call('POST', '/rooms/1/messages', { text: 'hello' }, ann)).status, 204)
  t.match(await client.next(), { event: 'said', data: { text: 'hello', by: 'ann' } })
  const bob = await login(rooms!, 'bob')
  t.equal((await rooms!.call('DELETE', '/rooms/1/members/ann', undefined, bob)).status, 204)
  await client.end()
  t.equal((await rooms!.call('GET', '/rooms/1/events', undefined, ann)).status, 404)
})

t.test('rows: the rows come as they are found, and their number last', async (t) => {
  const ann = await login(rows!, 'ann')
  const response = await rows!.call('POST', '/queries', { from: 7 }, ann)
  const text = await response.text()
  t.strictSame(
    [...text.matchAll(/^event: row\ndata: (.*)$/gm)].map(([, row]) => JSON.parse(row!).id),
    [7, 8, 9, 10, 11]
  )
  t.match(text, /event: done\ndata: {"count":5}\n\n$/)
})

t.test('progress: only the user who has started a job follows it', async (t) => {
  const [ann, eve] = [await login(progress!, 'ann'), await login(progress!, 'eve')]
  const { id } = (await progress!.json('POST', '/jobs', {}, ann)) as { id: string }
  const client = await progress!.listen(`/jobs/${id}`, { headers: ann })
  await client.end()
  t.strictSame(
    client.all.map(({ event, data }) => [event, data]),
    [...[20, 40, 60, 80].map((percent) => ['progress', { percent }]), ['done', { result: `/results/${id}` }]]
  )
  t.equal((await progress!.call('GET', `/jobs/${id}`, undefined, eve)).status, 410)
})
