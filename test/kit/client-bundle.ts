// pylon-sse/client as a module for browsers.

import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const ENTRY = fileURLToPath(new URL('../../lib/entries/client/client.ts', import.meta.url))

/** The client as one module for a browser, from its source. */
export async function clientBundle(): Promise<string> {
  const { outputFiles } = await build({ entryPoints: [ENTRY], bundle: true, format: 'esm', write: false })
  return outputFiles[0]!.text
}
