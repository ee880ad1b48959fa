/**
 * Finds the ids of an event stream. eventsource-parser says nothing of a block that has an id and no data, yet such a
 * block sets the id from which a browser resumes (WHATWG HTML 9.2.6).
 */
export class IdParser {
  readonly #onId: (id: string) => void
  #unfinishedLine = ''
  #id: string | undefined

  constructor(onId: (id: string) => void) {
    this.#onId = onId
  }

  feed(text: string): void {
    // A CR that is the last character so far may be half of a CRLF, so it ends no line yet.
    const lines = (this.#unfinishedLine + text).split(/\r\n|\n|\r(?!$)/)
    this.#unfinishedLine = lines.pop() ?? ''
    for (const line of lines) this.#line(line)
  }

  #line(line: string): void {
    if (line === '') {
      // Only the end of a block makes its id count: a client that is cut off inside one resumes from before it.
      if (this.#id !== undefined) this.#onId(this.#id)
      this.#id = undefined
      return
    }
    const [, id] = /^id(?:: ?(.*))?$/s.exec(line) ?? []
    const isIdField = line === 'id' || line.startsWith('id:')
    if (isIdField && !id?.includes('\0')) this.#id = id ?? ''
  }
}
