// The lines that an app logs.

import { Watch } from './watch.js'

export interface LogLine {
  level: number
  msg: string
  [field: string]: unknown
}

/** A stream for Fastify's `logger: { level, stream }` that keeps the lines in memory. */
export class LogLines {
  readonly lines: LogLine[] = []
  readonly #watch = new Watch(() => JSON.stringify(this.lines.slice(-10)))

  /** For pino, which writes one whole line at a time. */
  write(line: string): void {
    this.lines.push(JSON.parse(line))
    this.#watch.changed()
  }

  /** The first line, from the beginning on, whose message is or matches `wanted`, or that satisfies it. */
  waitFor(wanted: string | RegExp | ((line: LogLine) => boolean), ms?: number): Promise<LogLine> {
    return this.#watch.until(() => this.lines.find(matcher(wanted)), `a log line such that ${wanted}`, ms)
  }

  /** All the lines so far that `waitFor` would take. */
  matching(wanted: string | RegExp | ((line: LogLine) => boolean)): LogLine[] {
    return this.lines.filter(matcher(wanted))
  }
}

function matcher(wanted: string | RegExp | ((line: LogLine) => boolean)): (line: LogLine) => boolean {
  if (typeof wanted === 'function') return wanted
  return ({ msg }) => (typeof wanted === 'string' ? msg === wanted : wanted.test(msg))
}
