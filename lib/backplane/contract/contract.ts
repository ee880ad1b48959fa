/**
 * The guarantees of a backplane as a suite of cases, for any test runner.
 *
 * @module pylon-sse/backplane-contract
 */
import { cursorCases } from './cases/cursors.js'
import { joiningCases } from './cases/joining.js'
import { lossCases } from './cases/losses.js'
import { messageCases } from './cases/messages.js'
import { outageCases } from './cases/outages.js'
import { publishingCases } from './cases/publishing.js'
import type { BackplaneHarness } from './harness.js'
import { within } from './listener.js'
import { ContractLog } from './log.js'

export type { BackplaneHarness } from './harness.js'

/** One guarantee of the contract. */
export interface ContractCase {
  readonly name: string
  /** Rejects where the guarantee does not hold. */
  run(): Promise<void>
}

const ALL = [joiningCases, publishingCases, cursorCases, messageCases, outageCases, lossCases]

/**
 * What every backplane must do, as cases for any test runner, which runs one after another. With `node:test`, for one:
 *
 * ```ts
 * for (const { name, run } of backplaneContract(harness)) test(name, run)
 * ```
 *
 * `patience` is how long what must come may take, ms: 15,000 unless told.
 */
export function backplaneContract(harness: BackplaneHarness, { patience = 15_000 } = {}): ContractCase[] {
  const cases: ContractCase[] = []
  const add = (name: string, check: (log: ContractLog) => Promise<void>) => {
    const run = async () => {
      await harness.begin()
      const log = new ContractLog(() => harness.connect(), patience)
      try {
        await check(log)
      } finally {
        await within(Promise.all(log.made.map((backplane) => backplane.close())), 'close()', patience)
      }
    }
    cases.push({ name, run })
  }

  for (const addCases of ALL) addCases({ add, harness, patience })
  return cases
}
