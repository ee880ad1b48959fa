/** What marks an event as a piece of a run, where processes share an engine. */
export interface RunMark {
  /** Of the run. */
  readonly id: string
  /** Its number among the run's, from 1. */
  readonly n: number
  /** Whether it is the run's last. */
  readonly last?: boolean | undefined
}
