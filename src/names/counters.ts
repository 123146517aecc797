export interface Counters {
  queries: number
  answers: number
  /** What is no answer to what was asked. */
  strangers: number
  malformed: number
  truncated: number
  timeouts: number
  unreachable: number
  cached: number
  /** Questions turned away: there were too many at once. */
  refused: number
}

export const newCounters = (): Counters => ({
  queries: 0,
  answers: 0,
  strangers: 0,
  malformed: 0,
  truncated: 0,
  timeouts: 0,
  unreachable: 0,
  cached: 0,
  refused: 0,
})
