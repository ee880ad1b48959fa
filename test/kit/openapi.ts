// OpenAPI documents of apps with the plugin.

import swagger from '@fastify/swagger'
import fastify, { type FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import pylonSse, { type PylonSseOptions } from '../../lib/index.js'

export type Json = Record<string, unknown>
export interface Operation {
  summary?: string
  description?: string
  tags?: string[]
  security?: unknown
  parameters?: { in: string; name: string; required?: boolean; schema: Json; description?: string }[]
  requestBody?: { content: Record<string, { schema: Json }> }
  responses: Record<string, { description: string; headers?: Json; content?: Record<string, Json & { schema: Json }> }>
}
export interface Document {
  openapi: string
  paths: Record<string, Record<string, Operation>>
}

/** The document of an app that has nothing but the plugin. */
export async function documentOf(t: Test, sse: PylonSseOptions = {}, { openapi = {}, setup }: DocumentOptions = {}) {
  const app = fastify()
  t.teardown(() => app.close())
  await app.register(swagger, { openapi })
  await setup?.(app)
  await app.register(pylonSse, sse)
  await app.ready()
  return app.swagger() as unknown as Document
}
export interface DocumentOptions {
  openapi?: { openapi?: string } & Json
  setup?: (app: FastifyInstance) => unknown
}

export const get = (document: Document, path = '/events') => document.paths[path]!.get!
export const names = (operation: Operation) =>
  operation.parameters!.map((parameter) => `${parameter.in} ${parameter.name}`)
export const page = (operation: Operation) => operation.responses[200]!.content!['application/json']!.schema

const AS_IT_IS = { coerceTypes: false, removeAdditional: false, useDefaults: false, strict: false }

/** Whether a body is what a schema of OpenAPI 3.0 says, or why not; by the validator that Fastify has. */
export async function fits(schema: unknown, body: unknown): Promise<unknown> {
  const app = fastify({ ajv: { customOptions: AS_IT_IS } })
  app.get('/', async (request) => {
    const validate = request.compileValidationSchema(schema as Json)
    return [validate(body) || validate.errors]
  })
  return (await app.inject('/')).json()[0]
}

export const todo = {
  type: 'object',
  required: ['id'],
  properties: { id: { type: 'integer' }, title: { type: 'string' }, due: { type: ['string', 'null'] } }
}

export const events = { 'todo.created': todo, moved: { type: 'array', items: { type: 'string' } } }
