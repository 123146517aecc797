/**
 * Milliseconds that do not go back, the same in every thread of this process and after a change of threads (performance.now()
 * begins anew in each).
 */
export function threadClock(): () => number {
  const base = Number(process.hrtime.bigint()) / 1e6 - performance.now()
  return () => base + performance.now()
}
