import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const ROOT = new URL('../../', import.meta.url)
const SCRIPT = fileURLToPath(new URL('scripts/check-owner.js', ROOT))

function checkOwner(cwd: string): Promise<{ code: number; errors: string[] }> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [SCRIPT], { cwd }, (_error, _stdout, stderr) => {
      resolve({ code: child.exitCode!, errors: stderr.split('\n').filter(Boolean) })
    })
  })
}

t.test('package.json says where the repository is, and nothing else does', async (t) => {
  const text = await readFile(new URL('package.json', ROOT), 'utf8')
  const { repository } = JSON.parse(text)
  const owner = /^git\+https:\/\/github\.com\/([^/]+)\/pylon-sse\.git$/.exec(repository.url)?.[1]
  t.type(owner, 'string', 'npm resolves links and pictures of the README by it')
  const filled = text.replaceAll(`github.com/${owner}`, 'github.com/somebody')
  t.strictSame(await checkOwner(t.testdir({ 'package.json': filled })), { code: 0, errors: [] }, 'the URLs agree')
  const pages = (await readdir(new URL('docs/', ROOT))).filter((name) => name.endsWith('.md'))
  for (const name of ['README.md', ...pages.map((page) => `docs/${page}`)]) {
    t.notMatch(await readFile(new URL(name, ROOT), 'utf8'), /github(usercontent)?\.com\/[\w-]+\/pylon-sse/, name)
  }
})

t.test('a package without an owner, or with two, cannot be published', async (t) => {
  const urls = (owner: string) => ({
    author: `The pylon-sse authors (https://github.com/${owner})`,
    repository: { url: `git+https://github.com/${owner}/pylon-sse.git` },
    homepage: `https://github.com/${owner}/pylon-sse#readme`,
    bugs: `https://github.com/${owner}/pylon-sse/issues`
  })
  const check = async (manifest: object) => checkOwner(t.testdir({ 'package.json': JSON.stringify(manifest) }))
  t.match(await check(urls('OWNER')), { code: 1, errors: [/repository\.url .* in place of OWNER/] })
  const { author, homepage, bugs } = urls('other')
  t.match(await check({ ...urls('somebody'), author, homepage, bugs }), {
    code: 1,
    errors: [/homepage is .*other/, /bugs is .*other/, /author is .*other/]
  })
})
