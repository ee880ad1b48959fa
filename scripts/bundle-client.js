// Bundles the client into one file, dist/client.min.js, for pages that have no bundler.
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const file = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url))

await build({
  entryPoints: [file('dist/entries/client/client.js')],
  outfile: file('dist/client.min.js'),
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  legalComments: 'none',
  logLevel: 'warning'
})
