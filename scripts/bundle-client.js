// Bundles the client into one file, dist/client.min.js, for pages that have no bundler.
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const DYNAMIC_IMPORT = /\bimport\('(\.\/[\w-]+\.js)'\)/g

const file = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url))

/**
 * Makes dynamic imports static: all is in one file, so nothing is loaded later, and code that could do so would only make it larger.
 */
const staticImports = {
  name: 'static-imports',
  setup: ({ onLoad }) =>
    onLoad({ filter: /entries.client.[\w-]+\.js$/ }, async ({ path }) => {
      const code = await readFile(path, 'utf8')
      const imports = []
      const functions = {}
      for (const [, name] of code.matchAll(DYNAMIC_IMPORT)) {
        const source = await readFile(join(dirname(path), name), 'utf8')
        functions[name] = [...source.matchAll(/^export (?:async )?function (\w+)/gm)].map(([, exported]) => exported)
        imports.push(`import { ${functions[name]} } from '${name}'\n`)
      }
      const contents = code.replace(DYNAMIC_IMPORT, (_, name) => `Promise.resolve({ ${functions[name]} })`)
      return { contents: imports.join('') + contents }
    })
}

await build({
  entryPoints: [file('dist/entries/client/client.js')],
  outfile: file('dist/client.min.js'),
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  legalComments: 'none',
  logLevel: 'warning',
  plugins: [staticImports]
})
