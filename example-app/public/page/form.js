// Forms whose work is done by the server.

/**
 * Calls `work` when a form is submitted, one submission at a time. The message of an error that it throws is shown below the
 * fields until something is typed. The fields keep their values and the focus.
 *
 * @param {(fields: HTMLFormControlsCollection) => Promise<void>} work
 */
export function onSubmit(form, work) {
  const message = form.querySelector('.error')
  let busy = false
  const forget = () => {
    message.textContent = ''
  }
  form.addEventListener('input', forget)
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    if (busy) return
    busy = true
    forget()
    try {
      await work(form.elements)
    } catch (error) {
      message.textContent = error.message
    } finally {
      busy = false
    }
  })
}
