/** A case that under ioth-run may end otherwise than on Linux, and why. */
export interface Difference {
  program: string
  title: string
  reason: string
}

/** Known differences. One that is none any more fails the test: it is to be taken out. */
export const differences: Difference[] = []
