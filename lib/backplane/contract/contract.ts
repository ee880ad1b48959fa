/**
 * The suite of cases that every backplane must pass, for any test runner.
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
  /** Rejects if the backplane does not keep the guarantee. */
  run(): Promise<void>
}

const CASES = [joiningCases, publishingCases, cursorCases, messageCases, outageCases, lossCases]

/**
 * Creates the cases that every backplane must pass. Run them one after another, with any test runner, such as `node:test`:
 *
 * ```ts
 * for (const { name, run } of backplaneContract(harness)) test(name, run)
 * ```
 *
 * Cases that need an optional part of the harness are left out if the harness does not have it.
 *
 * @param options `patience`: how long a case waits for something that must happen, ms. Default: 15,000. After that the case
 * rejects with an error that says what it waited for.
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

  for (const addCases of CASES) addCases({ add, harness, patience })
  return cases
}
