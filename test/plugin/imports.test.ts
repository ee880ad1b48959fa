import { createRequire } from 'node:module'
import fastify, { type FastifyPluginAsync } from 'fastify'
import t from 'tap'
import * as source from '../../lib/index.js'

type ErrorClass = new (...args: never[]) => Error
interface Package {
  default: FastifyPluginAsync
  pylonSse: FastifyPluginAsync
  [error: string]: unknown
}

// By its own name, as users do: what package.json exports, and what has been built. It is no literal, since a compiler
// would look for the types of what may have yet to be built.
const name: string = 'pylon-sse'
const imported: Package = await import(name)
const required: FastifyPluginAsync & Package = createRequire(import.meta.url)(name)
const errors = Object.keys(source).filter((key) => key.endsWith('Error'))

t.test('default import, named import and require() give the same plugin', async (t) => {
  t.type(imported.default, 'function')
  t.equal(imported.pylonSse, imported.default)
  t.equal(required, imported.default)
  t.equal(required.default, imported.default, 'for what compiles an import to a require()')
  t.equal(required.pylonSse, imported.default, 'for those who destructure it')
})

t.test('an import has the error classes, and nothing that is not in the source', async (t) => {
  t.strictSame(Object.keys(imported).sort(), Object.keys(source).sort())
  t.ok(errors.includes('ClosedError'))
})

t.test('require() has the same error classes', async (t) => {
  t.strictSame(
    errors.filter((key) => required[key] !== imported[key]),
    []
  )
})

t.test('what the plugin throws is of these classes, whichever way it was loaded', async (t) => {
  for (const plugin of [imported.default, imported.pylonSse, required]) {
    const app = fastify()
    await app.register(plugin)
    await app.close()
    const error = await app.sse.publish('after').catch((error: unknown) => error)
    t.ok(error instanceof (imported.ClosedError as ErrorClass))
    t.match(error, { code: 'PYLON_SSE_ERR_CLOSED' })
  }
})
