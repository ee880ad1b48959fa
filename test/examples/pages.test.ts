import { join } from 'node:path'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Browser, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { requireBinary } from '../kit/binary.js'
import { certificate } from '../kit/certificate.js'
import { launchChromium } from '../kit/chromium.js'
import { readExample, startExamples } from '../kit/example.js'
import { type Served, serve } from '../kit/server.js'
import { TcpProxy } from '../kit/tcp-proxy.js'
import { testFrameworks } from './frameworks.js'

const PAGE = `<!doctype html><title>page</title><script type="module">
  import { live } from '/live.js'
  Object.assign(window, { heard: [], loads: 0, ended: [] })
  live('/events?topic=room.1', {
    load: () => loads++,
    on: { message: (data) => heard.push(data), resync: () => heard.push('resync') },
    onEnd: (reason) => ended.push(reason),
    delay: 20
  })
</script>`

// Processes and pages take long to start on a busy machine.
t.setTimeout(300_000)

/** One for all tests here: to start it takes longer than most of them. */
const chromium = await launchChromium(t)
if (chromium !== undefined) {
  t.test('frameworks/: their pages load a list, and follow what is added', (t) => testFrameworks(t, chromium))
  await testPages(chromium)
}

async function testPages(browser: Browser): Promise<void> {
  t.test(
    'quick-start: what is said reaches a stream, and many tabs by one connection, whichever of them is closed',
    async (t) => {
      const [example] = (await startExamples(t, ['quick-start/server.mjs'])).examples
      const stream = await example!.listen()
      const context = await browser.newContext()
      t.teardown(() => context.close())
      const open = async () => {
        const page = await context.newPage()
        await page.goto(`http://localhost:${example!.port}/`)
        await page.waitForSelector('text=/^open$/')
        return page
      }
      const say = async (what: string, pages: readonly Page[]) => {
        const said = await example!.call('POST', '/say', { hello: what })
        t.strictSame((await stream.next('message')).data, { hello: what })
        for (const page of pages) await page.waitForSelector(`li >> text={"hello":"${what}"}`)
        return said.json()
      }
      const first = await open()
      const others: Page[] = []
      // More than a browser has connections for, one for each.
      while (others.length < 6) others.push(await open())
      t.strictSame(await say('everyone', [first, ...others]), { clients: 2 }, 'the stream, and one for all tabs')
      await first.close()
      await say('others', others)
      for (const page of others) t.equal(await page.locator('li').count(), 2, 'each event once')
    }
  )

  t.test('http2: more than six tabs of a browser hear what is said', async (t) => {
    if (requireBinary(t, 'openssl') === undefined) return
    const { key, cert } = await certificate()
    const folder = t.testdir({ 'key.pem': key, 'cert.pem': cert })
    const env = { TLS_KEY: join(folder, 'key.pem'), TLS_CERT: join(folder, 'cert.pem') }
    const [example] = (await startExamples(t, ['http2/server.js', env])).examples
    const url = `https://localhost:${example!.port}`
    const context = await browser.newContext({ ignoreHTTPSErrors: true })
    t.teardown(() => context.close())
    const pages = [await context.newPage(), await context.newPage()]
    for (const page of pages) {
      await page.goto(url)
      await page.waitForSelector('text=/^connected$/')
      // Five more streams, in place of tabs: the limit is that of an origin, over all its tabs.
      await page.evaluate(`Promise.all([2, 3, 4, 5, 6].map(() => new Promise((resolve) => {
        new EventSource('/events').onopen = resolve
      })))`)
    }
    const said = await context.request.post(`${url}/say`, { data: { hello: 'everyone' } })
    t.strictSame(await said.json(), { clients: 12 })
    await Promise.all(pages.map((page) => page.waitForSelector('li >> text={"hello":"everyone"}')))
  })

  t.test(
    'reconnecting/live.js: a page whose URL has a query misses nothing while it is refused for a time',
    async (t) => {
      const visited = await visit(t, browser)
      const { page, served, answers, refuseBy } = visited
      const tell = (text: string) => served.app.sse.broadcast(text, { topic: 'room.1' })
      const hasHeard = (count: number) => page.waitForFunction(`heard.length >= ${count}`)
      tell('first')
      await hasHeard(1)
      for (const [count, status] of [503, 429, 502].entries()) {
        refuseBy(status)
        served.app.sse.disconnect(() => true)
        await page.waitForResponse((answer) => answer.request().method() === 'HEAD')
        tell(`during ${status}`)
        refuseBy(undefined)
        await hasHeard(count + 2)
      }
      t.strictSame(await page.evaluate('heard'), ['first', 'during 503', 'during 429', 'during 502'])
      t.equal(await page.evaluate('loads'), 1, 'it goes on where it was')
      t.strictSame(await page.evaluate('ended'), [])
      const [client] = served.app.sse.clients
      t.strictSame([...client!.topics], ['room.1'], 'on the topic of before')
      t.ok(answers.includes('GET 503'), 'it was refused')
    }
  )

  t.test('reconnecting/live.js: after 400, 401, 403 and 406 a page asks no more', async (t) => {
    const { page, served, answers, refuseBy } = await visit(t, browser)
    for (const status of [400, 401, 403, 406]) {
      refuseBy(status)
      served.app.sse.disconnect(() => true)
      await page.waitForFunction('ended.length === 1')
      t.strictSame(await page.evaluate('ended'), [status])
      const count = answers.length
      t.strictSame(answers.slice(-2), [`GET ${status}`, `HEAD ${status}`])
      refuseBy(undefined)
      await page.waitForTimeout(100)
      t.equal(answers.length, count)
      await page.reload()
      await page.waitForFunction('loads === 1')
    }
  })

  t.test('reconnecting/live.js: a page that is told to stay away does', async (t) => {
    const visited = await visit(t, browser)
    const { page, served, answers } = visited
    served.app.sse.disconnect(() => true, { reconnect: false })
    await page.waitForFunction('ended.length === 1')
    t.strictSame(await page.evaluate('ended'), ['stay-away'])
    await page.waitForTimeout(100)
    t.strictSame(answers, ['GET 200'])
  })

  t.test(
    'snapshot/, topics/, chat/, prices/, job/, htmx/ and turbo/: their pages show what they are told',
    async (t) => {
      const { examples } = await startExamples(
        t,
        ['snapshot/server.js'],
        ['topics/server.js'],
        ['chat/server.js'],
        ['prices/server.js'],
        ['job/server.js', { STEP: '10' }],
        ['htmx/server.js'],
        ['turbo/server.js']
      )
      const [snapshot, topics, chat, prices, job, htmx, turbo] = examples
      const page = await browser.newPage()
      t.teardown(() => page.close())
      const errors: Error[] = []
      page.on('pageerror', (error) => errors.push(error))
      const send = async (text: string) => {
        await page.fill('[name=text], [name=title]', text)
        await page.click('button:visible')
      }
      const shows = (text: string) => page.waitForSelector(`text=${text}`)

      await snapshot!.call('PUT', '/tasks/1', { title: 'Write' })
      await page.goto(snapshot!.url)
      await shows('Write')
      await page.fill('[name=title]', 'Read')
      await page.click('button')
      await shows('Read')

      await page.goto(topics!.url)
      await page.waitForFunction('document.querySelector("form").onsubmit !== null')
      await send('<b>news</b>')
      await shows('I said <b>news</b>')

      await page.goto(chat!.url)
      await page.fill('[name=name]', 'ann')
      await page.click('button')
      await shows('Here: ann')
      await send('<b>hello</b>')
      await shows('ann: <b>hello</b>')

      await page.goto(`${prices!.url}/?symbol=ACME&symbol=INIT`)
      await shows('ACME')
      await shows('INIT')
      t.equal(await page.locator('tr').count(), 2)

      await page.goto(job!.url)
      await page.waitForFunction('document.querySelector("button").onclick !== null')
      await page.click('button')
      await shows('Done: /results/')
      t.equal(await page.evaluate('bar.value'), 100)

      for (const example of [htmx!, turbo!]) {
        const opened = page.waitForResponse((answer) => answer.url().endsWith('/events'))
        await page.goto(example.url)
        await opened
        await send('<b>hello</b>')
        await page.waitForSelector('li >> text=<b>hello</b>')
      }
      t.strictSame(errors, [])
    }
  )

  for (const library of ['fetch', 'sse']) {
    t.test(`libraries/: /${library} comes back after each kind of end, and stays away when it is sent`, async (t) => {
      const { examples } = await startExamples(
        t,
        ['libraries/server.js', { RETRY: '20' }],
        ['libraries/server.js', { RETRY: '20', MAX_AGE: '200' }]
      )
      for (const [which, example] of examples.entries()) {
        const proxy = await TcpProxy.to(t, example.port)
        const page = await browser.newPage()
        t.teardown(() => page.close())
        const errors: Error[] = []
        page.on('pageerror', (error) => errors.push(error))
        const opened = page.waitForResponse((answer) => answer.url().endsWith('/events'))
        await page.goto(`http://127.0.0.1:${proxy.port}/${library}`)
        await opened
        // At first it is cut off before its first event; the other server ends its streams all the time.
        const texts = which === 0 ? ['first', 'second'] : ['a', 'b', 'c']
        for (const text of texts) {
          if (which === 0) proxy.cut()
          await example.call('POST', '/say', { text })
          proxy.mend()
          await page.waitForSelector(`li >> text=${text}`)
        }
        t.strictSame(await page.locator('li').allTextContents(), texts, 'each once')
        if (which === 0) {
          t.strictSame(await example.json('DELETE', '/pages'), { sentAway: 1 })
          await page.waitForSelector('text=stay-away')
        }
        t.strictSame(errors, [])
      }
    })
  }

  t.test('reconnecting: the list is the same on two pages, and both stay away when they are sent', async (t) => {
    const [example] = (await startExamples(t, ['reconnecting/server.js'])).examples
    const pages = [await browser.newPage(), await browser.newPage()]
    t.teardown(() => Promise.all(pages.map((page) => page.close())))
    await example!.call('POST', '/items', { text: 'bread' })
    for (const page of pages) {
      await page.goto(example!.url)
      await page.waitForSelector('li >> text=bread')
    }
    await example!.call('POST', '/items', { text: 'milk' })
    for (const page of pages) await page.waitForSelector('li >> text=milk')
    t.strictSame(await (await example!.call('DELETE', '/pages')).json(), { sentAway: 2 })
    for (const page of pages) await page.waitForSelector('text=stay-away')
  })
}

interface Visit {
  page: Page
  served: Served
  /** Of the stream's route: `GET 200`, `HEAD 503`, … */
  answers: string[]
  /** What the stream's route answers before the plugin is asked. */
  refuseBy(status: number | undefined): void
}

/** A page that uses live.js. */
async function visit(t: Test, browser: Browser): Promise<Visit> {
  const code = await readExample('reconnecting/live.js')
  const answers: string[] = []
  let status: number | undefined
  const served = await serve(t, {
    sse: {
      retry: 10,
      authorizeTopics: () => ['room.1'],
      route: {
        onRequest: async (_request: FastifyRequest, reply: FastifyReply) => {
          if (status !== undefined) return reply.code(status).send()
        }
      }
    },
    setup: (app) => {
      app.get('/', async (_request, reply) => reply.type('text/html').send(PAGE))
      app.get('/live.js', async (_request, reply) => reply.type('text/javascript').send(code))
      app.addHook('onSend', async ({ url, method }, reply) => {
        if (url.startsWith('/events')) answers.push(`${method} ${reply.statusCode}`)
      })
    }
  })
  const page = await browser.newPage()
  t.teardown(() => page.close())
  await page.goto(served.url)
  await page.waitForFunction('loads === 1')
  return {
    page,
    served,
    answers,
    refuseBy: (next) => {
      status = next
    }
  }
}
