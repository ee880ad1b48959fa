// A span for each stream of a hub, for OpenTelemetry.

import { context, type Span, SpanKind, SpanStatusCode, type Tracer } from '@opentelemetry/api'
import type { Sse, SseClient } from '../../api/api.js'
import type { ConnectMessage, DisconnectMessage } from '../../api/diagnostics.js'
import type { ChannelListeners } from './channel-listeners.js'

/** The span of an open stream, and when its response headers were sent, ms since 1970. */
interface Open {
  readonly span: Span
  readonly headAt: number
}

/** Creates a span for each stream of a hub. */
export class StreamSpans {
  readonly #tracer: Tracer
  readonly #sse: Sse
  readonly #hub: string
  readonly #endsAt: 'head' | 'end'
  readonly #open = new WeakMap<SseClient, Open>()

  constructor(tracer: Tracer, sse: Sse, hub: string, endsAt: 'head' | 'end') {
    this.#tracer = tracer
    this.#sse = sse
    this.#hub = hub
    this.#endsAt = endsAt
  }

  listen(listeners: ChannelListeners): void {
    listeners.on('pylon-sse:client:connect', (message) => {
      if (message.sse === this.#sse) this.#begin(message)
    })
    listeners.on('pylon-sse:client:replay', ({ client, events }) => {
      this.#open.get(client)?.span.setAttribute('pylon_sse.replay.events', events)
    })
    listeners.on('pylon-sse:client:resync', ({ client, reason, missed }) => {
      const attributes = { 'pylon_sse.reason': reason, ...(missed !== null && { 'pylon_sse.missed': missed }) }
      this.#open.get(client)?.span.addEvent('resync', attributes)
    })
    listeners.on('pylon-sse:client:disconnect', (message) => this.#end(message))
  }

  /** Starts a span in the context of the request, whose span is the parent. */
  #begin({ client, request, opening }: ConnectMessage): void {
    const headAt = Date.now()
    const options = {
      kind: SpanKind.INTERNAL,
      startTime: headAt - opening,
      attributes: {
        'pylon_sse.hub': this.#hub,
        'pylon_sse.client.id': client.id,
        'pylon_sse.client.resumed': client.resumed,
        'http.route': request.routeOptions.url
      }
    }
    const span = this.#tracer.startSpan('sse.stream', options, context.active())
    // A span that is not recorded is not worth its memory.
    if (span.isRecording()) this.#open.set(client, { span, headAt })
  }

  #end({ client, reason, duration }: DisconnectMessage): void {
    const open = this.#open.get(client)
    if (open === undefined) return
    const { span, headAt } = open
    span.setAttributes({ 'pylon_sse.stream.duration': duration / 1000, 'pylon_sse.reason': reason })
    if (reason === 'error') span.setStatus({ code: SpanStatusCode.ERROR })
    span.end(this.#endsAt === 'head' ? headAt : headAt + duration)
  }
}
