// The API reference, of all entry points that package.json names.
import { readFileSync } from 'node:fs'

const { exports } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8'))

/** @type {Partial<import('typedoc').TypeDocOptions>} */
export default {
  entryPoints: Object.values(exports)
    .filter(({ types }) => types !== undefined)
    .map(({ types }) => types.replace('./dist/', 'lib/').replace('.d.ts', '.ts')),
  tsconfig: 'tsconfig.build.json',
  out: 'api-reference',
  readme: 'none',
  // The repository has no address yet; see scripts/check-owner.js.
  disableSources: true,
  treatWarningsAsErrors: true,
  // Parts of other types, which nobody names.
  intentionallyNotExported: [
    'AnyLive',
    'AnyOptions',
    'AnyReply',
    'AnyRequest',
    'ErrorClass',
    'Fresh',
    'Optional',
    'OwnPGlite',
    'PartialState',
    'SchemaResult',
    'SelectorFields',
    'State',
    'Value'
  ],
  externalSymbolLinkMappings: {
    '@nats-io/nats-core': { Authenticator: 'https://www.npmjs.com/package/@nats-io/nats-core' }
  }
}
