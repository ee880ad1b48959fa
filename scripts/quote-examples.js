/**
 * Copies the programs of docs/examples into the pages that quote them, so that the two cannot differ.
 *
 *   node scripts/quote-examples.js          writes the quotes
 *   node scripts/quote-examples.js --check  fails if a page is not up to date
 *
 * A folder in the arguments stands in place of this repository.
 *
 * A page quotes a file, or a region of it, by a marker in front of a block of code, which is then replaced:
 *
 *   <!-- example: chat/server.js -->
 *   <!-- example: chat/server.js#login -->
 *
 * A region stands between the lines `// #region login` and `// #endregion` (`#` or `<!-- … -->` in other languages).
 * A block of code that is not part of a program says why: `<!-- fragment: a signature, not a program -->`, or, if its
 * types cannot be checked either, `<!-- unchecked: REASON -->`; see check-code-blocks.js.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, extname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT =
  process.argv.slice(2).find((argument) => !argument.startsWith('--')) ?? fileURLToPath(new URL('..', import.meta.url))
const EXAMPLES = join(ROOT, 'docs/examples')
/** Languages of blocks that may be written by hand: commands, answers, what goes over the wire. */
const FREE = new Set(['', 'sh', 'json', 'text', 'diff', 'http'])
/** By the extension of a file, or by its name: the language of its block, and how a comment is written in it. */
const LANGUAGES = {
  '.js': ['js', '// ', ''],
  '.mjs': ['js', '// ', ''],
  '.jsx': ['jsx', '// ', ''],
  '.ts': ['ts', '// ', ''],
  '.html': ['html', '<!-- ', ' -->'],
  '.json': ['json'],
  '.yaml': ['yaml', '# ', ''],
  '.conf': ['nginx', '# ', ''],
  '.vcl': ['vcl', '# ', ''],
  '.cfg': ['haproxy', '# ', ''],
  'apache.conf': ['apache', '# ', ''],
  'squid.conf': ['squid', '# ', ''],
  Caddyfile: ['caddy', '# ', ''],
  Dockerfile: ['dockerfile', '# ', '']
}
const REGION = /^\s*(?:\/\/|#|<!--) #(?:region (?<name>[\w-]+)|(?<end>endregion))\b.*$/
const BLOCK =
  /(?:<!-- (?<kind>example|fragment|unchecked): (?<what>.+?) -->\n)?^```(?<language>[\w-]*)\n(?<code>[\s\S]*?)^```$/gm

const problems = []
const isCheck = process.argv.includes('--check')
const pages = ['README.md', ...readdirSync(join(ROOT, 'docs')).filter((name) => name.endsWith('.md'))].map((name) =>
  join(ROOT, name === 'README.md' ? '' : 'docs', name)
)
let all = ''
for (const page of pages) all += quote(page)

for (const { name } of readdirSync(EXAMPLES, { withFileTypes: true }).filter((entry) => entry.isDirectory())) {
  if (!all.includes(`examples/${name}`)) problems.push(`No page quotes or names docs/examples/${name}.`)
}
for (const problem of problems) console.error(problem)
if (problems.length > 0) process.exitCode = 1

/** @returns the page as it should be */
function quote(page) {
  const name = relative(ROOT, page)
  const text = readFileSync(page, 'utf8')
  const marked = text.match(/^<!-- example: /gm)?.length ?? 0
  let quoted = 0
  const wanted = text.replace(BLOCK, (block, ...rest) => {
    const { kind, what, language } = rest.at(-1)
    if (kind === 'example') {
      quoted++
      return blockOf(what, name) ?? block
    }
    if (kind === undefined && !FREE.has(language)) {
      const line = text.slice(0, rest.at(-3)).split('\n').length
      problems.push(
        `${name}:${line}: a block of ${language} that is tested by nobody. Quote a program of docs/examples ` +
          '(<!-- example: NAME/FILE#REGION -->), or say why there is none (<!-- fragment: REASON -->).'
      )
    }
    return block
  })
  if (quoted !== marked) problems.push(`${name}: a marker of an example has no block of code right behind it.`)
  if (wanted !== text) {
    if (isCheck) problems.push(`${name} does not quote docs/examples as they are: run npm run docs:quote.`)
    else writeFileSync(page, wanted)
  }
  return wanted
}

function blockOf(what, page) {
  const [path, region] = what.split('#')
  const file = join(EXAMPLES, path)
  const [language, open, close] = LANGUAGES[basename(path)] ?? LANGUAGES[extname(path)] ?? []
  if (!existsSync(file) || language === undefined) {
    problems.push(`${page}: there is no docs/examples/${path}, or its kind of file is not known to this script.`)
    return undefined
  }
  const lines = linesOf(readFileSync(file, 'utf8'), region)
  if (lines.length === 0) {
    problems.push(`${page}: docs/examples/${path} has no region '${region}'.`)
    return undefined
  }
  const title = open === undefined ? [] : [`${open}docs/examples/${path}${close}`]
  return [`<!-- example: ${what} -->`, `\`\`\`${language}`, ...title, ...lines, '```'].join('\n')
}

/** The lines of a file, or of a region of it without its indentation, without the lines that mark regions. */
function linesOf(text, region) {
  const lines = []
  const open = []
  for (const line of text.trimEnd().split('\n')) {
    const { name, end } = REGION.exec(line)?.groups ?? {}
    if (name !== undefined) open.push(name)
    else if (end !== undefined) open.pop()
    else if (region === undefined || open.includes(region)) lines.push(line)
  }
  const margin = Math.min(...lines.filter((line) => line !== '').map((line) => line.search(/\S/)))
  return lines.map((line) => line.slice(margin))
}
