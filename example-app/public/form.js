/**
 * Sends a form by `work`, once at a time. What it throws is said below the fields until something is typed. The fields
 * keep what was typed, and the focus stays.
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
