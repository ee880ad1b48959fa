/**
 * Type-checks the code in README.md and docs/, and parses its JSON.
 *
 *   node scripts/check-code-blocks.js
 *
 * A folder in the arguments stands in place of this repository.
 *
 * Of blocks that quote docs/examples the programs are checked: all JavaScript there. Programs with a tsconfig.json of
 * their own are compiled by test/examples/compiled.test.ts. Every other block of js or ts is checked as a module. What it
 * takes from its surroundings, such as `app`, is declared in scripts/code-block-context.d.ts. A block that cannot be
 * checked says why: `<!-- unchecked: REASON -->`.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const REPOSITORY = fileURLToPath(new URL('..', import.meta.url))
const ROOT = process.argv[2] ?? REPOSITORY
const DOCS = join(ROOT, 'docs')
const EXAMPLES = join(DOCS, 'examples')
const CONTEXT = join(REPOSITORY, 'scripts/code-block-context.d.ts')
const BLOCK =
  /(?:<!-- (?<kind>\w+): .+? -->\n)?^(?<margin> *)```(?<language>js|ts|json)\n(?<code>[\s\S]*?)^\k<margin>```$/gm
/** Errors that are ignored in JavaScript: bodies, parameters and queries of requests have no types there. */
const UNTYPED = /\b[Tt]ype 'unknown'|Spread types may only be created from object types/

const problems = []
/** @type {Map<string, { page: string, line: number, code: string }>} */
const blocks = new Map()

const pages = [
  'README.md',
  ...readdirSync(DOCS)
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`)
]
for (const page of pages) {
  const text = readFileSync(join(ROOT, page), 'utf8')
  for (const { index, 0: block, groups } of text.matchAll(BLOCK)) {
    const { kind, margin, language, code } = groups
    if (kind === 'example' || kind === 'unchecked') continue
    const before = block.slice(0, block.indexOf('```'))
    const line = text.slice(0, index + before.length).split('\n').length + 1
    if (language === 'json') parse(code, `${page}:${line}`)
    else blocks.set(join(DOCS, `block-${blocks.size}.${language}`), { page, line, code: outdent(code, margin) })
  }
}
checkTypes([CONTEXT, ...programs(), ...blocks.keys()])

for (const problem of problems) console.error(problem)
if (problems.length > 0) process.exitCode = 1

function parse(code, place) {
  try {
    JSON.parse(code)
  } catch (error) {
    problems.push(`${place}: ${error.message}`)
  }
}

function outdent(code, margin) {
  return code.replaceAll(new RegExp(`^${margin}`, 'gm'), '')
}

/** The JavaScript of docs/examples, except for programs that are compiled. */
function programs() {
  if (!existsSync(EXAMPLES)) return []
  return readdirSync(EXAMPLES, { recursive: true })
    .map((name) => join(EXAMPLES, name))
    .filter((file) => /\.m?jsx?$/.test(file) && !existsSync(join(dirname(file), 'tsconfig.json')))
}

function checkTypes(rootNames) {
  const options = {
    target: ts.ScriptTarget.ES2022,
    lib: ['lib.es2023.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts'],
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    moduleDetection: ts.ModuleDetectionKind.Force,
    allowJs: true,
    checkJs: true,
    jsx: ts.JsxEmit.ReactJSX,
    // Functions in JavaScript do not declare the types of parameters.
    noImplicitAny: false,
    strictNullChecks: false,
    skipLibCheck: true,
    noEmit: true,
    types: ['node'],
    typeRoots: [join(REPOSITORY, 'node_modules/@types')],
    paths: sources()
  }
  const host = ts.createCompilerHost(options)
  const { fileExists, readFile } = host
  host.fileExists = (file) => blocks.has(file) || fileExists(file)
  host.readFile = (file) => blocks.get(file)?.code ?? readFile(file)
  const program = ts.createProgram(rootNames, options, host)
  for (const name of rootNames) {
    const file = program.getSourceFile(name)
    for (const { start, messageText } of [
      ...program.getSyntacticDiagnostics(file),
      ...program.getSemanticDiagnostics(file)
    ]) {
      const text = ts.flattenDiagnosticMessageText(messageText, '\n')
      if (UNTYPED.test(text) && /jsx?$/.test(name)) continue
      const { line } = ts.getLineAndCharacterOfPosition(file, start)
      const block = blocks.get(name)
      const place = block ? `${block.page}:${block.line + line}` : `${relative(ROOT, name)}:${line + 1}`
      problems.push(`${place}: ${text}`)
    }
  }
}

/** The sources of the package's entry points, so that nothing has to be built first. */
function sources() {
  const { name, exports } = JSON.parse(readFileSync(join(REPOSITORY, 'package.json'), 'utf8'))
  const entries = Object.entries(exports).filter(([, { types }]) => types !== undefined)
  return Object.fromEntries(
    entries.map(([path, { types }]) => [
      name + path.slice(1),
      [join(REPOSITORY, types.replace('./dist/', 'lib/').replace('.d.ts', '.ts'))]
    ])
  )
}
