import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const ROOT = new URL('../../', import.meta.url)

function run(program: string, args: string[], cwd?: string): Promise<{ code: number; errors: string[] }> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [fileURLToPath(new URL(program, ROOT)), ...args],
      { cwd },
      (...[, , stderr]) => {
        resolve({ code: child.exitCode!, errors: stderr.split('\n').filter(Boolean) })
      }
    )
  })
}

const block = (language: string, ...lines: string[]) => [`\`\`\`${language}`, ...lines, '```', ''].join('\n')

t.test('code in the docs that does not type-check is reported, with its place', async (t) => {
  const root = t.testdir({
    'README.md': [
      'Text.\n',
      block('ts', "app.sse.broadcast({ id: 7 }, { topik: 'orders' })"),
      block('js', 'const options = { history: 1 }', 'await app.register(pylonSse, options)', 'app.sse.brodcast(1)'),
      block('json', '{ "id": 7, }'),
      '<!-- unchecked: it has a mistake on purpose -->',
      block('ts', 'app.sse.none()'),
      '- In a list:\n',
      `  ${block('js', 'app.sse.missing()').trim().replaceAll('\n', '\n  ')}\n`,
      block('js', "app.post('/say', async ({ body }) => app.sse.broadcast(body.text))")
    ].join('\n'),
    docs: {
      'page.md': '<!-- example: a/b.js -->\n```js\nnot(checked, here)\n```\n',
      examples: {
        a: {
          'b.js': "import { redisStreams } from 'pylon-sse/redis-streams'\nredisStreams({ uri: 'redis://localhost' })\n"
        },
        compiled: { 'tsconfig.json': '{}', 'c.js': 'not(checked, here)' }
      }
    }
  })
  const { code, errors } = await run('scripts/check-code-blocks.js', [root])
  t.equal(code, 1)
  const firstLines = errors.filter((error) => !error.startsWith(' '))
  t.match(firstLines, [
    /^README.md:14: .*JSON/,
    /^docs\/examples\/a\/b.js:2: /,
    /^README.md:4: .*topik/,
    /^README.md:9: No overload/,
    /^README.md:10: .*brodcast/,
    /^README.md:25: .*missing/
  ])
  t.equal(firstLines.length, 6)
})

t.test('a dead link in the docs, to a file or a heading, is reported', async (t) => {
  const root = t.testdir({
    'README.md': '# Title\n\n[a](#none) [b](docs/none.md) [c](docs/page.md#none) [d](docs/page.md#there) [e](#title)\n',
    docs: { 'page.md': '# Page\n\n## There\n' }
  })
  const settings = fileURLToPath(new URL('.remarkrc.json', ROOT))
  const args = ['--frail', '--quiet', '--no-stdout', '--rc-path', settings, '.']
  const { code, errors } = await run('node_modules/remark-cli/cli.js', args, root)
  t.equal(code, 1)
  t.match(errors.join('\n'), /#none.*\n.*docs\/none\.md.*\n.*#none.*in.*docs\/page\.md.*\n.*3 warnings/s)
  t.notMatch(errors.join('\n'), /#there|#title/)
})
