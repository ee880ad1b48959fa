// Notices at the foot of the page.

const notices = document.getElementById('notices')
const template = document.getElementById('notice')

/** How long a notice stays, ms: without and with a button. */
const SHORT = 5000
const LONG = 10_000
const MOST = 4

/**
 * Shows a notice at the foot of the page for some seconds, and longer while the pointer or the focus is on it.
 *
 * @param {object} [options]
 * @param {'info' | 'error'} [options.kind]
 * @param {{ label: string, run: () => void }} [options.action] a button; Ctrl+Z presses the latest one
 */
export function notify(text, { kind = 'info', action } = {}) {
  const notice = template.content.firstElementChild.cloneNode(true)
  notice.dataset.kind = kind
  notice.querySelector('.text').textContent = text
  const button = notice.querySelector('button')
  if (action) {
    button.append(action.label)
    button.onclick = () => {
      notice.remove()
      action.run()
    }
  } else button.remove()
  for (const other of notices.children) if (other.textContent === notice.textContent) other.remove()
  notices.append(notice)
  if (notices.childElementCount > MOST) notices.firstElementChild.remove()

  const isHeld = () => notice.matches(':hover, :focus-within')
  const end = () => (isHeld() ? setTimeout(end, 1000) : notice.remove())
  setTimeout(end, action ? LONG : SHORT)
}

export function notifyOf(error) {
  notify(error.message, { kind: 'error' })
}

/** Removes the notices with a button, when the view that they belong to is left. */
export function withdrawOffers() {
  for (const button of notices.querySelectorAll('button')) button.parentElement.remove()
}

addEventListener('keydown', (event) => {
  const isUndo = event.key === 'z' && (event.ctrlKey || event.metaKey) && !event.shiftKey
  // In a field, Ctrl+Z undoes typing.
  if (!isUndo || event.target.matches('input, textarea')) return
  const latest = [...notices.querySelectorAll('button')].at(-1)
  if (!latest) return
  event.preventDefault()
  latest.click()
})
