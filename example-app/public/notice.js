const notice = document.getElementById('notice')
let timer

/** Says something at the foot of the page, for a few seconds. */
export function notify(text, kind = 'info') {
  notice.classList.add('shown')
  notice.dataset.kind = kind
  notice.textContent = text
  clearTimeout(timer)
  timer = setTimeout(() => notice.classList.remove('shown'), 5000)
}

export function notifyOf(error) {
  notify(error.message, 'error')
}
