import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import t from 'tap'
import { requireBinary } from '../kit/binary.js'
import { certificate } from '../kit/certificate.js'
import { launchChromium } from '../kit/chromium.js'
import { startExamples } from '../kit/example.js'
import { TcpProxy } from '../kit/tcp-proxy.js'
import { testFrameworks } from './frameworks.js'

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

  t.test(
    'changing-topics: a page hears other topics without a reconnect, and changes those of no other user',
    async (t) => {
      const [example] = (await startExamples(t, ['changing-topics/server.js'])).examples
      const open = async (name: string) => {
        const context = await browser.newContext()
        t.teardown(() => context.close())
        const page = await context.newPage()
        let streams = 0
        page.on('request', (request) => {
          if (new URL(request.url()).pathname === '/events') streams++
        })
        const ids = new Promise<string>((resolve) =>
          page.on('request', (request) => {
            if (request.url().endsWith('/events/topics')) resolve(request.postDataJSON().client)
          })
        )
        await page.goto(`${example!.url}/?name=${name}`)
        await page.waitForSelector('text=/^open$/')
        const post = (path: string, body: object): Promise<number> =>
          page.evaluate(
            ([path, body]) => {
              const headers = { 'content-type': 'application/json' }
              return fetch(path!, { method: 'POST', headers, body: body! }).then(({ status }) => status)
            },
            [path, JSON.stringify(body)]
          )
        const change = async (topic: string, act: (selector: string) => Promise<void>) => {
          const changed = page.waitForResponse((response) => response.url().endsWith('/events/topics'))
          await act(`input[value="${topic}"]`)
          t.equal((await changed).status(), 204)
        }
        return { page, ids, post, change, streams: () => streams }
      }
      const [ann, bob] = [await open('ann'), await open('bob')]
      for (const topic of ['1', '2']) await ann.change(topic, (box) => ann.page.check(box))
      await ann.change('1', (box) => ann.page.uncheck(box))
      const client = await ann.ids
      t.equal(await bob.post('/events/topics', { client, add: ['orders.3'], remove: ['orders.2'] }), 204)
      t.equal(await ann.post('/events/topics', { client, add: ['user.bob'], remove: [] }), 403)
      for (const id of [1, 3, 2]) await bob.post(`/orders/${id}`, { state: 'paid' })
      await ann.page.waitForSelector('li >> text="2: paid"')
      t.equal(await ann.page.locator('li').count(), 1)
      t.equal(await bob.page.locator('li').count(), 0)
      t.strictSame([ann.streams(), bob.streams()], [1, 1])
    }
  )

  t.test('http2: more than six tabs of a browser get events at the same time', async (t) => {
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
    t.test(`libraries/: /${library} reconnects after each kind of end, unless it is told to stay away`, async (t) => {
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
}
