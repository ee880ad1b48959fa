// What screen readers say of changes.

import { COLUMNS } from '../shared/statuses.js'

const MOST = 5

/** Describes changes in a log that screen readers read out. */
export class Announcer {
  #log
  #me

  /** @param {string} me the user's name */
  constructor(log, me) {
    this.#log = log
    this.#me = me
  }

  /** @param before the task as it was shown, undefined for a new one */
  tell({ kind, data, user: name = 'Somebody' }, before) {
    const user = name === this.#me ? 'You' : name
    if (kind === 'delete') {
      if (before) this.say(`${user} deleted “${before.title}”`)
    } else if (!before) this.say(`${user} added “${data.title}”`)
    else {
      if (data.title !== before.title) this.say(`${user} changed “${before.title}” to “${data.title}”`)
      if (data.status !== before.status) this.say(`${user} moved “${data.title}” to ${COLUMNS[data.status]}`)
    }
  }

  say(text) {
    const line = document.createElement('p')
    line.textContent = text
    this.#log.append(line)
    if (this.#log.childElementCount > MOST) this.#log.firstElementChild.remove()
  }
}
