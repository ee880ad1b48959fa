import 'reflect-metadata'
import { Body, Controller, Inject, Injectable, Module, Post } from '@nestjs/common'
import { HttpAdapterHost, NestFactory } from '@nestjs/core'
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify'
import pylonSse, { type Sse } from 'pylon-sse'

// #region service
@Injectable()
export class Events {
  @Inject(HttpAdapterHost) private readonly host!: HttpAdapterHost<FastifyAdapter>

  /** A getter, since the plugin is not there yet when Nest creates this provider. */
  get sse(): Sse {
    return this.host.httpAdapter.getInstance().sse
  }
}
// #endregion

// #region controller
@Controller()
export class ChatController {
  @Inject(Events) private readonly events!: Events

  @Post('say')
  say(@Body() body: { text: string }) {
    this.events.sse.broadcast({ text: String(body.text) })
    return { clients: this.events.sse.clientCount }
  }
}
// #endregion

@Module({ controllers: [ChatController], providers: [Events] })
export class AppModule {}

// #region bootstrap
const app = await NestFactory.create<NestFastifyApplication>(AppModule, new FastifyAdapter())
await app.register(pylonSse)
app.enableShutdownHooks() // so that a signal ends the streams
await app.listen(process.env.PORT ?? 3000)
// #endregion
