// Tokens for the recipes with logins, valid ones and others.

import { createHmac } from 'node:crypto'
import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import type { Test } from 'tap'
import type { EventReader } from './event-reader.js'
import { Recipes } from './recipes.js'
import { type Served, serve } from './server.js'

type AddEvents = (app: FastifyInstance, options: object) => Promise<void>

const SECRET = 'a secret of the test, long enough for HS256'
const base64url = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
export const seconds = () => Math.floor(Date.now() / 1000)

interface Forgery {
  secret?: string
  alg?: 'HS256' | 'HS384' | 'none'
}

/** By hand, since no library makes all the tokens that must not get in. */
export function tokenOf(payload: object, { secret = SECRET, alg = 'HS256' }: Forgery = {}): string {
  const body = `${base64url({ alg, typ: 'JWT' })}.${base64url({ iat: seconds(), ...payload })}`
  const hash = alg === 'HS384' ? 'sha384' : 'sha256'
  return `${body}.${alg === 'none' ? '' : createHmac(hash, secret).update(body).digest('base64url')}`
}

export const claims = (sub: string) => ({ sub, exp: seconds() + 900 })
export const ann = () => tokenOf(claims('ann'))

/** Tokens that do not get anybody in. */
export const refused: Record<string, () => string> = {
  'one that has expired': () => tokenOf({ sub: 'ann', exp: seconds() - 1 }),
  'one by another secret': () => tokenOf(claims('ann'), { secret: `${SECRET}!` }),
  'one that is not signed': () => tokenOf(claims('ann'), { alg: 'none' }),
  'one by another algorithm': () => tokenOf(claims('ann'), { alg: 'HS384' }),
  'one that never ends': () => tokenOf({ sub: 'ann' }),
  'one of nobody': () => tokenOf({ exp: seconds() + 900 }),
  "one with another's name put in": () => {
    const [head, , signature] = ann().split('.')
    return [head, base64url({ iat: seconds(), ...claims('bob') }), signature].join('.')
  },
  'one that is not valid yet': () => tokenOf({ ...claims('ann'), nbf: seconds() + 60 }),
  'one that is none': () => 'ann'
}

/** What a user may not ask for, and gets nothing of by asking. */
export const forbidden = ['user.bob', 'user.*', '*', '**', '*.bob', 'user.ann.*', 'user.**', 'orders.**', 'orders']

interface RecipeOptions {
  fastify?: FastifyServerOptions
  setup?: (app: FastifyInstance) => unknown
  /** What the example asks for beside the secret. */
  options?: object
}

/** An app to which an example of authentication has added the stream. Its clients come back without delay. */
export async function serveRecipe(t: Test, name: string, { fastify = {}, setup, options }: RecipeOptions = {}) {
  const recipes = await Recipes.of(t, name)
  const { addEvents } = await recipes.load<{ addEvents: AddEvents }>('events.js')
  const served = await serve(t, {
    sse: false,
    fastify,
    setup: async (app) => {
      await setup?.(app)
      const register = app.register as (plugin: unknown, options?: object) => unknown
      Object.assign(app, {
        register: (plugin: unknown, given?: object) =>
          register(plugin, given && 'route' in given ? { retry: 10, ...given } : given)
      })
      await addEvents(app, { secret: SECRET, ...options })
    }
  })
  return { recipes, served }
}

const END = 'end'

export async function heard({ app }: Served, ...readers: EventReader[]): Promise<string[][]> {
  app.sse.broadcastMessage(END)
  for (const reader of readers) await reader.until(({ data }) => data === END)
  return readers.map(({ events }) => events.map(({ data }) => data).filter((data) => data !== END && data !== 'null'))
}

export function tellEach({ app }: Served, ...topics: string[]): void {
  for (const topic of topics) app.sse.broadcastMessage(topic, { topic })
}
