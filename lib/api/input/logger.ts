// The part of a logger that the plugin uses, and a guard around the app's own.

/** The methods of a logger that are used. Fastify's logger has them. */
export interface Logger {
  debug(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

type Level = keyof Logger

/**
 * A logger of the app that never throws: serializers, mixins and destinations are code of the app, and their errors must
 * not reach a client. A line that cannot be logged is tried once more without its fields.
 */
export class GuardedLogger implements Logger {
  readonly #logger: Logger

  constructor(logger: Logger) {
    this.#logger = logger
  }

  debug(fields: object, message: string): void {
    this.#log('debug', fields, message)
  }

  warn(fields: object, message: string): void {
    this.#log('warn', fields, message)
  }

  error(fields: object, message: string): void {
    this.#log('error', fields, message)
  }

  #log(level: Level, fields: object, message: string): void {
    try {
      this.#logger[level](fields, message)
    } catch {
      try {
        this.#logger[level]({}, message)
      } catch {
        // The logger itself is broken, so there is nowhere to report it.
      }
    }
  }
}
