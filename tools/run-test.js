// Runs one test file and counts what it asserts.
import { spawn } from 'node:child_process'
import { once } from 'node:events'

import { Parser } from 'tap-parser'

// In seconds. A test that needs longer says so: t.setTimeout().
const TIMEOUT = 300

const running = new Set()
for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'])
  process.once(signal, () => {
    for (const test of running) test.kill(signal)
    process.kill(process.pid, signal)
  })

/** Counts of the program at `path`; its complaints: what failed, and what it said on stderr. */
export async function runTest(path, cwd) {
  const test = spawn(process.execPath, ['--enable-source-maps', path], {
    cwd,
    env: { ...process.env, ...protocol(path) },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  running.add(test)
  let tap = ''
  let words = ''
  test.stdout.setEncoding('utf8').on('data', text => (tap += text))
  test.stderr.setEncoding('utf8').on('data', text => (words += text))
  const isLate = limitTime(test, path)
  const [status, signal] = await once(test, 'close')
  running.delete(test)

  const count = countAssertions(tap)
  const complaints = failures(tap)
  if (isLate()) complaints.push('took too long')
  if (status !== 0) complaints.push(`ended with ${signal ?? `status ${status}`}`)
  const silent = count.passed + count.failed + count.skipped.length === 0
  if (silent) complaints.push('asserts nothing')
  // A file that broke off fails without an assertion.
  if ((status !== 0 || !count.ok || silent) && count.failed === 0) count.failed = 1
  complaints.push(...words.split('\n').filter(line => line !== ''))
  return { ...count, complaints, tap }
}

/** What tap wants to know in a process that another watches. */
const protocol = path => ({
  TAP: '1',
  TAP_CHILD_ID: '0',
  TAP_CHILD_KEY: path,
  TAP_TIMEOUT: String(TIMEOUT),
})

/** Ends a test that takes too long: asks it first, so that it tells what it waits for. */
function limitTime(test, path) {
  let late = false
  let timer
  const start = milliseconds => {
    clearTimeout(timer)
    if (milliseconds > 0) timer = setTimeout(end, milliseconds)
  }
  const end = () => {
    late = true
    if (test.connected) test.send({ tapAbort: 'timeout', key: path, child: '0' }, () => {})
    timer = setTimeout(() => test.kill('SIGKILL'), 2000)
  }
  start(TIMEOUT * 1000)
  test.on('message', message => start(message.setTimeout))
  test.once('close', () => clearTimeout(timer))
  return () => late
}

/** Leaves only: the line that sums a subtest up counts when nothing within it failed, but it did. */
function countAssertions(text) {
  const count = { passed: 0, failed: 0, skipped: [], ok: false }
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
  const parser = new Parser(results => (count.ok = results.ok))
  watch(parser)
  parser.end(text)
  return count
}

/** The lines of TAP that tell of failures, each with what explains it. */
function failures(text) {
  const told = []
  let explains = false
  let after = false
  for (const line of text.split('\n')) {
    const word = line.trim()
    if (after && word === '---') explains = true
    after = /^not ok/.test(word) && !/# TODO/.test(word)
    if (after || explains) told.push(line)
    if (word === '...') explains = false
  }
  return told
}
