import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const ENTRY = fileURLToPath(new URL('../../lib/entries/client/client.ts', import.meta.url))

/** The client as one module for a browser, from its source. */
export async function clientBundle(): Promise<string> {
  const { outputFiles } = await build({ entryPoints: [ENTRY], bundle: true, format: 'esm', write: false })
  return outputFiles[0]!.text
}

/** A script that calls `connect`, with the client in it: for workers that are no modules. */
export async function scriptWithClient(script: string): Promise<string> {
  const contents = `import { connect } from ${JSON.stringify(ENTRY)}\n${script}`
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: '.' },
    bundle: true,
    format: 'iife',
    write: false
  })
  return outputFiles[0]!.text
}
