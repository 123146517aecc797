// Runs the tests (or the files and directories named), as many at once as there are processors, and counts what they
// asserted: the last line is "N passed, N failed". What was skipped is neither, and is named before.
//
// Each test is a program that prints TAP. They are translated first, all together, into build/tests/: a process that
// translates for itself (as under `tap FILE`) spends more time on that than most tests take. What they print is kept
// in build/test.tap.
import { appendFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

import { buildSync } from 'esbuild'

import { runTest } from './run-test.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const into = join(root, 'build/tests')
const output = join(root, 'build/test.tap')

// Not tests, or not for every day: those run only when they are named.
const aside = ['helpers', 'fixtures', 'conformance', 'cpython', 'fuzz', 'soak', 'large']
// What takes long begins first, so that nothing long is left for the end.
const long = ['conformance']

const total = { passed: 0, failed: 0, skipped: [] }
const waiting = chosen(process.argv.slice(2))
translate()
writeFileSync(output, '')
await Promise.all(Array.from({ length: availableParallelism() }, work))
if (total.passed + total.failed === 0) total.failed = 1
for (const name of total.skipped) console.log(`skipped: ${name}`)
console.log(`${total.passed} passed, ${total.failed} failed`)
process.exitCode = total.failed === 0 ? 0 : 1

/** The test files that are meant, in the order in which they start. */
function chosen(named) {
  const files = new Set((named.length === 0 ? ['test'] : named).flatMap(filesNamed))
  const rank = file => long.indexOf(file.slice('test/'.length, -'.ts'.length)) + 1 || Infinity
  return [...files].sort((a, b) => (rank(a) === rank(b) ? 0 : rank(a) - rank(b)))
}

function filesNamed(name) {
  const path = relative(root, resolve(name))
  const part = file => file.split('/')[1]
  const files = statSync(join(root, path)).isFile() ? [path] : filesBelow(path)
  const tests = files.filter(file => part(file) === part(path) || !aside.includes(part(file)))
  if (tests.length === 0) throw new Error(`There are no tests in "${name}"`)
  return tests
}

function filesBelow(directory) {
  return readdirSync(join(root, directory), { recursive: true, encoding: 'utf8' })
    .filter(file => file.endsWith('.ts'))
    .map(file => join(directory, file))
    .sort()
}

/** All of test/, each file with what it imports of src/; what several of them import is there once. */
function translate() {
  buildSync({
    absWorkingDir: root,
    entryPoints: filesBelow('test'),
    outbase: '.',
    outdir: into,
    bundle: true,
    splitting: true,
    packages: 'external',
    format: 'esm',
    platform: 'node',
    target: 'node20',
    sourcemap: true,
    sourcesContent: false,
    logLevel: 'warning',
  })
}

async function work() {
  for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
    const began = performance.now()
    const result = await runTest(join(into, file.replace(/ts$/, 'js')), root)
    const seconds = ((performance.now() - began) / 1000).toFixed(1)
    total.passed += result.passed
    total.failed += result.failed
    total.skipped.push(...result.skipped)
    appendFileSync(output, `# ${file}\n${result.tap}`)
    console.log(`${result.failed === 0 ? 'ok' : 'not ok'} - ${file} (${seconds} s)`)
    for (const line of result.complaints) console.log(`    ${line}`)
  }
}
