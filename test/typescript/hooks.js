// Runs TypeScript as it stands: types become spaces, so that lines, columns and coverage are those of the source. What
// has been stripped once is kept in node_modules/.cache, since each test file has a process of its own.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = new URL('../../', import.meta.url).href
const cache = new URL('node_modules/.cache/stripped-types/', root)

/**
 * Finds the source of what is imported. Programs that import the package by its name, such as the example, get its source,
 * too, so that coverage counts it; a test that does so gets what has been built.
 */
export async function resolve(specifier, context, nextResolve) {
  if (/^(\.{1,2}\/|file:).*\.js$/.test(specifier)) {
    const source = new URL(specifier.replace(/js$/, 'ts'), context.parentURL)
    if (source.href.startsWith(root) && existsSync(source)) return nextResolve(source.href, context)
  }
  const resolved = await nextResolve(specifier, context)
  if (!resolved.url.startsWith(`${root}dist/`) || !context.parentURL?.endsWith('.js')) return resolved
  const url = resolved.url.replace(`${root}dist/`, `${root}lib/`).replace(/js$/, 'ts')
  // The client in one file has no source of its own.
  return existsSync(new URL(url)) ? { ...resolved, url } : resolved
}

export async function load(url, context, nextLoad) {
  if (url.startsWith(`${root}dist/`)) {
    // What has been built counts for nothing: its functions, mapped to the sources, would be theirs a second time.
    const { source, ...rest } = await nextLoad(url, context)
    return { ...rest, source: String(source).replace(/^\/\/# sourceMappingURL=.*/m, '') }
  }
  if (!url.startsWith(root) || !url.endsWith('.ts')) return nextLoad(url, context)
  return { format: 'module', source: await stripped(readFileSync(fileURLToPath(url), 'utf8')), shortCircuit: true }
}

async function stripped(source) {
  const kept = new URL(`${createHash('sha256').update(source).digest('hex')}.js`, cache)
  if (existsSync(kept)) return readFileSync(kept, 'utf8')
  const { default: amaro } = await import('amaro')
  const { code } = amaro.transformSync(source, { mode: 'strip-only' })
  mkdirSync(cache, { recursive: true })
  const own = new URL(`${kept.href}.${process.pid}`)
  writeFileSync(own, code)
  // Whole or not at all: other processes may read it at once.
  renameSync(own, kept)
  return code
}
