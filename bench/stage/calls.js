/**
 * The child's side of `Child`: answers the calls of the process that started this one, and exits when that one does.
 *
 * @param {Record<string, (args: any) => any>} methods by the names that `Child.call` uses
 */
export function answerCalls(methods) {
  process.on('message', async ({ id, method, args }) => {
    try {
      const result = await methods[method](args)
      process.send({ id, result })
    } catch (err) {
      process.send({ id, error: err.message })
    }
  })
  process.on('disconnect', () => process.exit())
}
