// The transport of the test client without a network: `app.inject`.

import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import type { Connection, Sink } from './connection.js'
import { deferred } from './deferred.js'
import { headersByName, type StreamRequest } from './request.js'

/** The part of an app that is used. It fits apps with any type of server. */
export type InjectableApp = Pick<FastifyInstance, 'inject'>

/** Opens the stream with `app.inject`, as a client with the address `ip`. There is no socket, and no framing. */
export function openInject(app: InjectableApp, request: StreamRequest, ip: string | undefined, sink: Sink): Connection {
  let response: LightMyRequestResponse | undefined
  let isGone = false
  const left = deferred()
  const answered = app
    .inject({
      method: request.method as 'GET',
      url: request.path,
      headers: headersByName(request.headers),
      payloadAsStream: true,
      ...(request.body !== undefined && { payload: request.body }),
      ...(ip !== undefined && { remoteAddress: ip })
    })
    .then(
      (answer) => {
        response = answer
        // The test has closed the connection meanwhile.
        if (isGone) leave()
        else return read(answer)
      },
      (error: Error) => sink.hangUp(error)
    )

  function read(answer: LightMyRequestResponse): Promise<void> {
    const stream = answer.stream()
    sink.receiveHead({ status: answer.statusCode, rawHeaders: rawHeadersOf(answer) })
    let reason: Error | undefined
    const closed = new Promise<void>((resolve) => stream.once('close', resolve))
    stream
      .on('data', (bytes: Buffer) => sink.receive(bytes))
      .on('end', () => sink.finish())
      .on('error', (error) => {
        // A connection that the test has closed has not failed.
        if (!isGone) reason = error
      })
      .on('close', () => sink.hangUp(reason))
    return closed
  }

  function leave(): void {
    isGone = true
    // On the server's side, as if the connection were lost: light-my-request does not report a reader that is
    // destroyed.
    if (response === undefined) {
      sink.hangUp()
      left.resolve()
      return
    }
    response.raw.res.destroy()
    // Unread bytes would keep the stream from closing.
    response.stream().resume()
  }

  return {
    pause() {
      response?.stream().pause()
    },
    resume() {
      response?.stream().resume()
    },
    close: leave,
    cut: leave,
    released: Promise.race([answered, left.promise])
  }
}

function rawHeadersOf({ headers }: LightMyRequestResponse): [string, string][] {
  return Object.entries(headers).flatMap(([name, value]) =>
    [value].flat().map((single): [string, string] => [name, String(single)])
  )
}
