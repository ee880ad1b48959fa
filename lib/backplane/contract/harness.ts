// What the suite needs from the author of a backplane: how to create backplanes, and how to make the engine fail.

import type { Backplane } from '../backplane.js'
import type { ContractLog } from './log.js'

/** What the suite needs to test a backplane. The optional methods are about faults of the engine. */
export interface BackplaneHarness {
  /** Begins an empty log. From then on `connect` creates backplanes for this log. Called before each case. */
  begin(): Promise<void>
  /** Creates a backplane as another process would, not joined yet. The suite closes it. */
  connect(): Backplane
  /** Makes the engine unreachable, also for backplanes that have joined. Without it, cases about outages are left out. */
  interrupt?(): Promise<void>
  /** Makes the engine reachable again, with everything that it had acknowledged. */
  resume?(): Promise<void>
  /** Deletes the log, as an administrator would. Without it, cases about a deleted log are left out. */
  replace?(): Promise<void>
  /** Makes a backup of the log. Without it and `restore`, cases about a log that goes back are left out. */
  keep?(): Promise<void>
  /**
   * Replaces the log with the backup of `keep`. The backplanes that have joined lose their connections and make new ones. A case
   * may restore the same backup twice.
   */
  restore?(): Promise<void>
  /**
   * Adds entries to the log that are not of the package's format, in every form that the engine allows: other fields, other
   * types, no fields. Without it, the case about foreign entries is left out.
   */
  intrude?(): Promise<void>
}

/** What a function that adds cases gets. */
export interface CaseContext {
  /** Adds a case. Its check gets an empty log. */
  add(name: string, check: (log: ContractLog) => Promise<void>): void
  readonly harness: BackplaneHarness
  /** How long a case waits for something that must happen, ms. */
  readonly patience: number
}
