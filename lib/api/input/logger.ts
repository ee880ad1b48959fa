/** What is needed of a logger; Fastify's is one. */
export interface Logger {
  debug(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

type Level = keyof Logger

/**
 * A logger of the app as the plugin uses it: serializers, mixins and destinations are the app's code, and what they
 * throw must reach no client. A line that cannot be logged is tried once more without its fields.
 */
export function guardedLogger(logger: Logger): Logger {
  const log = (level: Level, fields: object, message: string) => {
    try {
      logger[level](fields, message)
    } catch {
      try {
        logger[level]({}, message)
      } catch {
        // There is nobody left to tell.
      }
    }
  }
  return {
    debug: (fields, message) => log('debug', fields, message),
    warn: (fields, message) => log('warn', fields, message),
    error: (fields, message) => log('error', fields, message)
  }
}
