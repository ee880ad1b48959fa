import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { exampleFile, readExample } from '../kit/example.js'

const SCRIPT = fileURLToPath(new URL('../../scripts/quote-examples.js', import.meta.url))

function quote(...args: string[]): Promise<{ code: number; errors: string[] }> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [SCRIPT, ...args], (_error, _stdout, stderr) => {
      resolve({ code: child.exitCode!, errors: stderr.split('\n').filter(Boolean) })
    })
  })
}

t.test('the docs quote the programs as they are', async (t) => {
  t.strictSame(await quote('--check'), { code: 0, errors: [] })
})

t.test('each program has a test', async (t) => {
  const all = new URL('../', import.meta.url)
  const tests = (await readdir(all, { recursive: true })).filter((name) => name.endsWith('.ts'))
  const text = (await Promise.all(tests.map((name) => readFile(new URL(name, all), 'utf8')))).join('\n')
  for (const entry of await readdir(exampleFile('.'), { withFileTypes: true })) {
    // Rooms of the library may have the same name.
    if (entry.isDirectory()) t.ok(new RegExp(`(?<!backplane/|lib/|[\\w-])${entry.name}/`).test(text), entry.name)
  }
})

t.test('files that several programs have are the same in all of them, so that each can be copied alone', async (t) => {
  const files = (await readdir(exampleFile('.'), { recursive: true })).toSorted()
  for (const [name, least] of [
    ['access.js', 3],
    ['users.js', 3],
    ['login.js', 9]
  ] as const) {
    const copies = files.filter((file) => file.endsWith(`/${name}`))
    t.ok(copies.length >= least, `${copies.length} programs have ${name}`)
    const first = await readExample(copies[0]!)
    for (const copy of copies) t.equal(await readExample(copy), first, `${copy} is ${copies[0]}`)
  }
})

t.test('the docs link only to files of the package, and say where others are', async (t) => {
  const root = new URL('../../', import.meta.url)
  const { files } = JSON.parse(await readFile(new URL('package.json', root), 'utf8'))
  // npm adds the first two. The last three are for those who have a checkout.
  const linked = ['README.md', 'LICENSE', ...files, 'CONTRIBUTING.md', 'ARCHITECTURE.md', 'example-app']
  const pages = (await readdir(new URL('docs/', root))).filter((name) => name.endsWith('.md'))
  for (const name of ['README.md', ...pages.map((page) => `docs/${page}`)]) {
    const page = new URL(name, root)
    const text = await readFile(page, 'utf8')
    for (const [, target] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^(https?:|#)/.test(target!)) continue
      const [file] = new URL(target!, page).href.slice(root.href.length).split(/[/#]/)
      t.ok(linked.includes(file), `${name}: ${target} is shipped`)
    }
    if (name === 'README.md') continue
    // The package has no sources, tests, benchmarks nor the example app: who speaks of them says where they are.
    const paragraphs = text
      .split(/\n\n/)
      .filter((part) => /npm run|(?:^|[`( ])(?:lib|test|bench|example-app)\//.test(part))
    for (const paragraph of paragraphs) t.match(paragraph, 'checkout', `${name}: ${paragraph}`)
  }
})

t.test('ARCHITECTURE.md names only files and folders that exist', async (t) => {
  const root = new URL('../../', import.meta.url)
  const folders = ['lib', 'test', 'bench', 'example-app', 'docs']
  const below = await Promise.all(
    folders.map(async (folder) => {
      const paths = await readdir(new URL(`${folder}/`, root), { recursive: true })
      return paths.map((path) => `/${folder}/${path}`)
    })
  )
  const paths = [...folders.map((folder) => `/${folder}`), '/package.json', '/biome.json', ...below.flat()]
  const text = await readFile(new URL('ARCHITECTURE.md', root), 'utf8')
  const named = [...text.matchAll(/`([\w./-]+(?:\.(?:ts|js|json|md)|\/))`/g)].map(([, name]) => name!)
  t.ok(named.length > 50, `${named.length} names`)
  for (const name of named) {
    const end = `/${name.replace(/\/$/, '')}`
    t.ok(
      paths.some((path) => path.endsWith(end)),
      `${name} is there`
    )
  }
})

const PROGRAM = `// #region all
const one = 1
// #region two
  const two = 2

  const three = 3
// #endregion
// #endregion
`
const BLOCK = (what: string, ...lines: string[]) => [`<!-- example: ${what} -->`, '```js', ...lines, '```'].join('\n')

t.test('a page gets a program, or a region of it without its margin', async (t) => {
  const root = t.testdir({
    'README.md': `Before.\n\n${BLOCK('a/b.js', 'old')}\n\n${BLOCK('a/b.js#two')}\n\nAfter.\n`,
    docs: { examples: { a: { 'b.js': PROGRAM } } }
  })
  t.match(await quote('--check', root), { code: 1, errors: [/README.md does not quote docs\/examples as they are/] })
  t.strictSame(await quote(root), { code: 0, errors: [] })
  const title = '// docs/examples/a/b.js'
  const whole = BLOCK('a/b.js', title, 'const one = 1', '  const two = 2', '', '  const three = 3')
  const part = BLOCK('a/b.js#two', title, 'const two = 2', '', 'const three = 3')
  t.equal(await readFile(join(root, 'README.md'), 'utf8'), `Before.\n\n${whole}\n\n${part}\n\nAfter.\n`)
  t.strictSame(await quote('--check', root), { code: 0, errors: [] })
})

t.test('broken quotes, programs that no page quotes, and code that is not a quote are reported', async (t) => {
  const root = t.testdir({
    'README.md': [
      BLOCK('a/none.js'),
      BLOCK('a/b.js#none'),
      '<!-- example: a/b.js -->\n\nno block',
      '```js\nconst free = 1\n```',
      '<!-- fragment: a signature -->\n```ts\nlet a: string\n```',
      '```sh\nls\n```'
    ].join('\n\n'),
    docs: { examples: { a: { 'b.js': PROGRAM }, lonely: { 'c.js': '' } }, 'page.md': 'See examples/a.' }
  })
  const { code, errors } = await quote('--check', root)
  t.equal(code, 1)
  t.match(errors, [
    /README.md: there is no docs\/examples\/a\/none.js/,
    /README.md: docs\/examples\/a\/b.js has no region 'none'/,
    /README.md:13: a block of js that is tested by nobody/,
    /README.md: a marker of an example has no block of code right behind it/,
    /No page quotes or names docs\/examples\/lonely/
  ])
  t.equal(errors.length, 5)
})
