// An app that knows its current user from the context of the request.

import { fastifyRequestContext, requestContext } from '@fastify/request-context'
import type { ServeOptions } from './server.js'

declare module '@fastify/request-context' {
  interface RequestContextData {
    user: string
  }
}

/** Who the app takes the callback to be for. */
export function currentUser(): string {
  return requestContext.get('user') ?? 'nobody'
}

/** A request of a user. */
export function asUser(user: string) {
  return { headers: { 'x-user': user } }
}

/** Registers the plugin that keeps the context. */
export const setup: NonNullable<ServeOptions['setup']> = async (app) => {
  await app.register(fastifyRequestContext, {
    hook: 'onRequest',
    defaultStoreValues: (request) => ({ user: String(request.headers['x-user']) })
  })
}
