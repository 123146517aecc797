// What the benchmarks have in common: rounds in turn, medians, ratios within a round.

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** One thing to measure: its name, and a function that measures it once. */
export interface Subject {
  readonly name: string
  readonly measure: () => Promise<number>
}

/**
 * Measures all in turn, `rounds` times after one that does not count, and prints medians and each subject's median ratio
 * to the first one: the machine may be slower in one round than in another, it is so for all.
 */
export async function compare(
  title: string,
  unit: string,
  rounds: number,
  subjects: readonly Subject[],
): Promise<void> {
  const values = subjects.map(() => [] as number[])
  for (let round = 0; round <= rounds; round++)
    for (const [i, subject] of subjects.entries()) {
      const value = await subject.measure()
      if (round > 0) values[i].push(value)
    }
  console.log(`${title} (median of ${rounds}, ${unit})`)
  for (const [i, subject] of subjects.entries()) {
    const ratio = median(values[i].map((v, round) => v / values[0][round]))
    const range = `${format(Math.min(...values[i]))} to ${format(Math.max(...values[i]))}`
    console.log(
      `  ${subject.name.padEnd(28)} ${format(median(values[i])).padStart(9)}   ratio ${ratio.toFixed(2)}   (${range})`,
    )
  }
}

const format = (value: number) => (value >= 100 ? value.toFixed(0) : value.toPrecision(3))

/** The same for subjects of which each measures many things at once: a line for each thing, ratios to the first subject. */
export async function compareAll(
  title: string,
  unit: string,
  rounds: number,
  subjects: readonly { name: string; measure: () => Promise<Map<string, number>> }[],
): Promise<void> {
  const values = subjects.map(() => [] as Map<string, number>[])
  for (let round = 0; round <= rounds; round++)
    for (const [i, subject] of subjects.entries()) {
      const value = await subject.measure()
      if (round > 0) values[i].push(value)
    }
  console.log(`${title} (median of ${rounds}, ${unit}): ${subjects.map(s => s.name).join(', ')}`)
  for (const thing of values[0][0].keys()) {
    const of = values.map(all => all.map(one => one.get(thing)!))
    const cells = of.map((all, i) => {
      const ratio = median(all.map((v, round) => v / of[0][round]))
      return format(median(all)).padStart(9) + (i > 0 ? ` (${ratio.toFixed(2)})` : '')
    })
    console.log(`  ${thing.padEnd(34)} ${cells.join('')}`)
  }
}
