import { join } from 'node:path'
import autoload from '@fastify/autoload'

/** Takes two arguments, as fastify-cli requires. */
export default async function app(app, options) {
  await app.register(autoload, { dir: join(import.meta.dirname, 'plugins'), options })
  await app.register(autoload, { dir: join(import.meta.dirname, 'routes'), options })
}
