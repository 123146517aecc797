// Runs tap over the tests (or those named) and counts what it asserted: the last line is
// "N passed, N failed". What was skipped is neither, and is named before.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { Parser } from 'tap-parser'

const root = fileURLToPath(new URL('..', import.meta.url))
const output = `${root}build/test.tap`

mkdirSync(`${root}build`, { recursive: true })
rmSync(output, { force: true })
const tap = spawnSync(
  process.execPath,
  [`${root}node_modules/tap/dist/esm/run.mjs`, `--output-file=${output}`, ...process.argv.slice(2)],
  { cwd: root, stdio: 'inherit' },
)

const count = countAssertions(readOutput())
// A test file that broke off, or tap itself, fails without an assertion.
if (tap.status !== 0 && count.failed === 0) count.failed = 1
if (tap.status === 0 && count.passed + count.failed === 0) count.failed = 1
for (const name of count.skipped) console.log(`skipped: ${name}`)
console.log(`${count.passed} passed, ${count.failed} failed`)
process.exitCode = count.failed === 0 ? 0 : 1

function readOutput() {
  try {
    return readFileSync(output, 'utf8')
  } catch (error) {
    console.error(`tap left no output: ${error.message}`)
    return ''
  }
}

/** Leaves only: the line that sums a subtest up counts when nothing within it failed, but it did. */
function countAssertions(text) {
  const count = { passed: 0, failed: 0, skipped: [] }
  const watch = parser => {
    let failedBefore = -1
    parser.on('child', child => {
      failedBefore = count.failed
      watch(child)
    })
    parser.on('assert', result => {
      const before = failedBefore
      failedBefore = -1
      if (result.skip) count.skipped.push(result.fullname || result.name)
      else if (before >= 0) count.failed += !result.ok && count.failed === before ? 1 : 0
      else if (result.ok) count.passed++
      else if (!result.todo) count.failed++
    })
  }
  const parser = new Parser()
  watch(parser)
  parser.end(text)
  return count
}
