import type { EventOptions, PublishOptions, Transaction } from '../api/api.js'
import { InvalidEventError } from '../api/errors.js'

/** The transaction that an event is to be a part of, and its other options. */
export function readTransaction(
  options: PublishOptions | undefined
): [transaction: Transaction | undefined, options: EventOptions | undefined] {
  if (typeof options !== 'object' || options === null || !('transaction' in options)) return [undefined, options]
  const { transaction, ...rest } = options
  if (transaction !== undefined && typeof transaction?.query !== 'function')
    throw new InvalidEventError('transaction', 'something else', 'a client of pg with an open transaction')
  return [transaction, rest]
}

/** For an event of a transaction that cannot be a part of one. */
export function transactionError(why: string): Error {
  return new InvalidEventError('transaction', `a transaction, and ${why}`, 'one with postgres() as the backplane alone')
}
