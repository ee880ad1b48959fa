// The option `transaction` of `publish`. What an engine does with a transaction is in postgres/.

import type { EventOptions, PublishOptions, Transaction } from '../api/api.js'
import { InvalidEventError } from '../api/errors.js'

/** Splits the options of an event: its transaction, and the others. @throws InvalidEventError */
export function readTransaction(
  options: PublishOptions | undefined
): [transaction: Transaction | undefined, options: EventOptions | undefined] {
  if (typeof options !== 'object' || options === null || !('transaction' in options)) return [undefined, options]
  const { transaction, ...rest } = options
  if (transaction !== undefined && typeof transaction?.query !== 'function')
    throw new InvalidEventError('transaction', 'something else', 'a client of pg with an open transaction')
  return [transaction, rest]
}

/** Returns the error for an event that cannot be published within a transaction. */
export function transactionError(why: string): Error {
  return new InvalidEventError('transaction', `a transaction, and ${why}`, 'one with postgres() as the backplane alone')
}
