import type { Test } from 'tap'
import { PATIENCE } from '../kit/patience.js'
import { cookieOf, TaskBoard, Visitor } from '../kit/task-board.js'

const REFUSALS = {
  LOGIN_REQUIRED: 'Log in first',
  SESSION_ENDED: 'Your login has ended: log in again',
  LOGIN_UNKNOWN: 'This server does not know your login: log in again'
}

/** Who may come in, by the API. */
export function login(t: Test): void {
  t.test('without a session there is neither stream nor API', async (t) => {
    const board = await TaskBoard.serve(t)
    const ann = await board.visitor()
    const [, value = ''] = ann.cookie.split('=')
    const [id, signature] = decodeURIComponent(value).split('.')
    const elsewhere = await (await TaskBoard.serve(t)).visitor()
    const ended = await board.visitor()
    await ended.call('POST', '/api/logout')
    const cookies: [what: string, cookie: string, code: keyof typeof REFUSALS][] = [
      ['none', '', 'LOGIN_REQUIRED'],
      ['empty', 'board_session=', 'LOGIN_REQUIRED'],
      ['unsigned', `board_session=${id}`, 'LOGIN_UNKNOWN'],
      ['signed wrongly', `board_session=${id}.${signature!.slice(1)}`, 'LOGIN_UNKNOWN'],
      ['with the signature of another', `board_session=${encodeURIComponent(`x${id}.${signature}`)}`, 'LOGIN_UNKNOWN'],
      ['of another database', elsewhere.cookie, 'LOGIN_UNKNOWN'],
      ['of a session that has ended', ended.cookie, 'SESSION_ENDED'],
      ['under another name', `session=${value}`, 'LOGIN_REQUIRED']
    ]
    for (const [what, cookie, code] of cookies) {
      const refusal = { statusCode: 401, code, message: REFUSALS[code] }
      const stranger = new Visitor(board, t, cookie, 'team-a')
      const client = await stranger.stream()
      t.equal(client.status, 401, `stream, cookie ${what}`)
      await client.waitForEnd()
      t.match(JSON.parse(client.body), refusal)
      const calls = [
        ['GET', '/api/me'],
        ['POST', '/api/rooms', { title: 'Mine' }],
        ['GET', '/api/rooms/team-a'],
        ['POST', '/api/rooms/team-a/tasks', { title: 'Mine' }],
        ['DELETE', '/api/rooms/team-a/tasks/x']
      ] as const
      for (const [method, url, body] of calls) {
        t.match(await stranger.call(method, url, body), { status: 401, body: refusal }, `${method} ${url}`)
      }
    }
    t.equal((await ann.stream()).status, 200)
    t.strictSame((await ann.snapshot()).tasks, [], 'nothing was done')
  })

  t.test('the cookie is signed, and neither scripts nor other sites can use it', async (t) => {
    const board = await TaskBoard.serve(t)
    const { status, body, headers } = await board.call('POST', '/api/login', { name: ' Ann Lee ' })
    t.strictSame([status, body], [200, { name: 'Ann Lee' }])
    t.match(
      headers['set-cookie'],
      /^board_session=[\w-]{36}\.[^;]{43,}; Path=\/; Expires=[^;]+GMT; HttpOnly; SameSite=Lax$/
    )
    const { body: me } = await board.call('GET', '/api/me', undefined, { cookie: cookieOf(headers) })
    t.match(me, { name: 'Ann Lee' })
  })

  t.test('a name is letters, digits and a few marks', async (t) => {
    const board = await TaskBoard.serve(t)
    for (const name of ['Ann', "Zoë O'Neill-Müller", '李小龍', 'R2.D2', 'x'.repeat(30)]) {
      t.match(await board.call('POST', '/api/login', { name }), { status: 200, body: { name } })
    }
    const bad = [
      '',
      ' ',
      '<script>',
      'Ann, Bob',
      'a\nb',
      '\u202eannA',
      'x'.repeat(31),
      7,
      null,
      ['Ann'],
      { name: 'Ann' }
    ]
    for (const name of bad) {
      const { status, headers, body } = await board.call<{ message: string }>('POST', '/api/login', { name })
      t.strictSame([status, headers['set-cookie']], [400, undefined], JSON.stringify(name))
      t.match(body.message, /^A person's name takes up to 30 letters, digits, spaces and \. ' _ -/)
    }
  })

  t.test('logging out ends the streams of this session and no other', async (t) => {
    const board = await TaskBoard.serve(t)
    const [ann, annElsewhere, bob] = [await board.visitor(), await board.visitor(), await board.visitor('Bob')]
    const ended = [await ann.stream(), await ann.stream({ query: { topic: 'room.team-b' } })]
    const others = [await annElsewhere.stream(), await bob.stream()]
    const { status, headers } = await ann.call('POST', '/api/logout')
    t.equal(status, 204)
    t.match(headers['set-cookie'], /^board_session=; .*Expires=Thu, 01 Jan 1970/)
    for (const client of ended) await client.waitForEnd()
    await bob.create('Still here')
    for (const client of others) await client.until(({ event }) => event === 'change')
    t.equal((await ann.stream()).status, 401, 'nor does its cookie open another one')
    t.equal((await ann.call('GET', '/api/me')).status, 401)
    const { lastEventId } = ended[0]!
    t.equal((await bob.stream({ lastEventId })).status, 204, 'and EventSource stays away, whoever logs in there next')
    t.equal((await ann.call('POST', '/api/logout')).status, 204, 'once more does no harm')
  })

  t.test('a stream ends when its session does', async (t) => {
    for (const sessionLifetime of [1500, 5000, 15_000]) {
      const board = await TaskBoard.serve(t, { sessionLifetime })
      const ann = await board.visitor()
      const client = await ann.stream()
      // On a slow machine a short session is over before its stream opens.
      if (client.status === 401 && sessionLifetime < 15_000) continue
      t.equal(client.status, 200)
      await client.waitForEnd(sessionLifetime + PATIENCE)
      t.equal((await ann.stream()).status, 401)
      break
    }
  })

  t.test('past the limit of sessions nobody comes in until one ends', async (t) => {
    const board = await TaskBoard.serve(t, { maxSessions: 1 })
    const ann = await board.visitor()
    t.match(await board.call('POST', '/api/login', { name: 'Bob' }), {
      status: 503,
      body: { code: 'TOO_MANY_SESSIONS' }
    })
    t.equal(
      (await ann.call('POST', '/api/login', { name: 'Anna' })).status,
      200,
      'logging in anew ends the old session'
    )
    t.equal((await ann.call('GET', '/api/me')).status, 401)
  })
}
