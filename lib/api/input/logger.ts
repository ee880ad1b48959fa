// The part of a logger that the plugin uses, and a guard around the app's own.

/** The methods of a logger that are used. Fastify's logger has them. */
export interface Logger {
  debug(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

type Level = keyof Logger

/**
 * Wraps a logger of the app so that it never throws: serializers, mixins and destinations are code of the app, and
 * their errors must not reach a client. A line that cannot be logged is tried once more without its fields.
 */
export function guardedLogger(logger: Logger): Logger {
  const log = (level: Level, fields: object, message: string) => {
    try {
      logger[level](fields, message)
    } catch {
      try {
        logger[level]({}, message)
      } catch {
        // The logger itself is broken, so there is nowhere to report it.
      }
    }
  }
  return {
    debug: (fields, message) => log('debug', fields, message),
    warn: (fields, message) => log('warn', fields, message),
    error: (fields, message) => log('error', fields, message)
  }
}
