import type { Backplane } from '../backplane.js'
import type { ContractLog } from './log.js'

/** What the suite needs of a backplane to be tested. The cases run one after another. */
export interface BackplaneHarness {
  /** Begins an empty log. `connect` is for this log from then on. */
  begin(): Promise<void>
  /** A backplane that nobody has joined, as another process would make it. The suite closes it. */
  connect(): Backplane
  /** Takes the engine out of reach, for those who have joined too. Without it the cases about that are left out. */
  interrupt?(): Promise<void>
  /** Brings the engine back, with all that it had acknowledged. */
  resume?(): Promise<void>
  /** Deletes the log, as an administrator would. Without it the case about that is left out. */
  replace?(): Promise<void>
  /** Remembers the log as it is, as a backup does. Without it, and `restore`, the cases about a log that goes back are left out. */
  keep?(): Promise<void>
  /**
   * Puts the log back to what `keep` remembered, in place of what there is now. All who have joined are connected anew. A case
   * does it twice with one backup.
   */
  restore?(): Promise<void>
  /**
   * Puts into the log what this package would not, in all the forms that the engine has: of other fields, of other types,
   * of none. Without it the case about that is left out.
   */
  intrude?(): Promise<void>
}

/** What the functions that add cases are given. */
export interface CaseContext {
  /** Adds a case, which gets an empty log. */
  add(name: string, check: (log: ContractLog) => Promise<void>): void
  readonly harness: BackplaneHarness
  /** How long what must come may take, ms. */
  readonly patience: number
}
