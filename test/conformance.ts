// Ordinary socket programs, each printing TAP: first on Linux, which says what is right, then under
// ioth-run. CONFORMANCE chooses legs and programs by name: CONFORMANCE=linux, CONFORMANCE=ring,accept,poll.
import { execFile, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'

import t, { type Test } from 'tap'
import { Parser, type Result } from 'tap-parser'

import { differences, leftOut } from './conformance/differences.ts'
import { IOTH_RUN, root, runtime, untapped } from './helpers/ioth-run.ts'

const here = join(root, 'test/conformance')
const out = join(root, 'build/conformance')
const outStatic = join(out, 'static')
const flags = '-std=c11 -D_GNU_SOURCE -O2 -D_FORTIFY_SOURCE=2 -g -Wall -Wextra -Werror -pthread'

/** Longer than the alarm that a program sets for itself. */
const TIME_LIMIT = 75_000

interface Leg {
  name?: string
  under?: 'ioth-run'
  /** What the programs connect to; undefined: 127.0.0.1. */
  ownAddress?: boolean
  /** Programs that no library can be loaded into: what they call is served as the kernel tells of it. */
  static?: boolean
  env: NodeJS.ProcessEnv
}

const legs: Record<string, Leg> = {
  linux: { env: {} },
  ring: { under: 'ioth-run', env: {} },
  address: { under: 'ioth-run', ownAddress: true, env: {} },
  native: { under: 'ioth-run', env: { IOTH_MODE: 'native' } },
  notify: { under: 'ioth-run', static: true, env: {} },
}

const sources = (dir: string) => readdirSync(dir).filter(file => file.endsWith('.c'))
const programs = sources(here).map(file => basename(file, '.c'))

const wanted = process.env.CONFORMANCE?.split(',').filter(Boolean) ?? []
for (const word of wanted)
  if (!(word in legs) && !programs.includes(word))
    throw new Error(
      `Cannot run CONFORMANCE="${word}": no such leg (${Object.keys(legs).join(' ')}) or program`,
    )
const chosen = (names: string[]) => names.filter(name => wanted.includes(name))
const orAll = (names: string[]) => (chosen(names).length > 0 ? chosen(names) : names)
const chosenPrograms = orAll(programs)
// Over the node's own address only when asked for: the way is the same as over 127.0.0.1.
const chosenLegs = orAll(Object.keys(legs).filter(leg => leg !== 'address'))

mkdirSync(outStatic, { recursive: true })
t.setTimeout(30 * 60_000)

t.test('build', async t => {
  const source = (program: string) => join(here, `${program}.c`)
  const compilers = chosenPrograms.map(program => () => compile(source(program), out))
  if (chosenLegs.some(name => legs[name]!.static))
    compilers.push(...chosenPrograms.map(p => () => compile(source(p), outStatic, '-static')))
  for (const child of sources(join(here, 'children')))
    compilers.push(() => compileStatic(t, join(here, 'children', child)))
  // As many at once as there are processors.
  const work = async () => {
    for (let next = compilers.pop(); next !== undefined; next = compilers.pop()) await next()
  }
  await Promise.all(Array.from({ length: availableParallelism() }, work))
  t.ok(
    chosenPrograms.every(program => existsSync(join(out, program))),
    'the programs are built',
  )
})

for (const name of chosenLegs)
  t.test(name, async t => {
    const leg = legs[name]!
    if (leg.under && !existsSync(IOTH_RUN))
      return void t.fail(`${IOTH_RUN} is missing: run make first`)
    const env = { ...runtime(t), ...leg.env }
    t.jobs = 3 // they mostly wait
    for (const [i, program] of chosenPrograms.entries()) {
      const address = `10.97.0.${i + 1}`
      const why = leftOut[name]?.[program]
      t.test(program, { skip: why ?? false }, async t =>
        report(t, program, { ...leg, name }, address, {
          ...env,
          ...(leg.ownAddress ? { TEST_ADDR: address } : {}),
        }),
      )
    }
  })

/**
 * On Linux they need a network of their own, where nobody else hears them or has the port that they take at a second
 * address, and the rights to it.
 */
const OWN_NETWORK = new Set(['bind', 'inet6', 'listen', 'netlink', 'optsweep', 'packet', 'raw'])
const inOwnNetwork = (command: string, program: string) => [
  // As root it is the host's root, whom Linux grants what it grants nobody else.
  process.geteuid?.() === 0 ? '-n' : '-rn',
  'sh',
  '-c',
  `ip link set lo up && ${['optsweep', 'packet'].includes(program) ? ETHERNET : ''} ` +
    'echo 0 0 >/proc/sys/net/ipv4/ping_group_range && exec "$0"',
  command,
]
const ETHERNET =
  'ip link add eth0 type veth peer name other && ip link set eth0 up && ip link set other up &&'

async function report(t: Test, program: string, leg: Leg, address: string, env: NodeJS.ProcessEnv) {
  const command = join(leg.static ? outStatic : out, program)
  const end = leg.under
    ? await run(IOTH_RUN, ['--ip', address, '--', command], env)
    : await alone(command, program, env)
  const tap = parse(end.stdout)
  for (const { result, diag } of tap.cases) judge(t, leg, program, result, diag)
  const failed = tap.cases.some(({ result }) => !result.ok)
  t.match(
    { ...end, planned: tap.planned, bailedOut: tap.bailedOut },
    {
      status: failed ? 1 : 0,
      signal: null,
      late: false,
      stderr: /^$/,
      planned: tap.cases.length,
      bailedOut: '',
    },
    'ends by itself, every case run, nothing on stderr',
  )
  if (!leg.under || tap.same.length === 0) return
  const plain = parse((await alone(command, program, env)).stdout)
  t.same(tap.same, plain.same, 'finds itself as it would without ioth-run')
}

/** Without ioth-run. */
function alone(command: string, program: string, env: NodeJS.ProcessEnv): Promise<End> {
  return OWN_NETWORK.has(program)
    ? run('unshare', inOwnNetwork(command, program), env)
    : run(command, [], env)
}

function judge(t: Test, leg: Leg, program: string, result: Result, diag: string[]) {
  const difference =
    leg.under &&
    differences.find(
      d =>
        (d.legs === undefined || d.legs.includes(leg.name!)) &&
        d.cases[program]?.includes(result.name) === true,
    )
  if (result.skip) return void t.pass(result.name, { skip: String(result.skip) })
  if (!difference) return void t.ok(result.ok, result.name, { diag })
  if (result.ok && difference.sometimes) return void t.pass(result.name)
  if (result.ok) return void t.fail(`${result.name}: differs no more, differences.ts lists it`)
  t.fail(result.name, { todo: difference.reason })
}

interface Cases {
  cases: { result: Result; diag: string[] }[]
  /** What the program tells of itself that must not depend on how it was started. */
  same: string[]
  planned: number
  bailedOut: string
}

/** A program's TAP. Comments before a case's line belong to the case. */
function parse(text: string): Cases {
  const tap: Cases = { cases: [], same: [], planned: -1, bailedOut: '' }
  let comments: string[] = []
  const parser = new Parser()
  parser.on('comment', line => {
    const comment = line.replace(/^# ?/, '').trimEnd()
    if (comment.startsWith('same: ')) tap.same.push(comment)
    else comments.push(comment)
  })
  parser.on('assert', result => {
    tap.cases.push({ result, diag: comments })
    comments = []
  })
  parser.on('plan', plan => (tap.planned = plan.end))
  parser.on('bailout', reason => (tap.bailedOut = reason))
  parser.end(text)
  return tap
}

interface End {
  status: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
  /** It was still there at the time limit, and was killed with its children. */
  late: boolean
}

function run(command: string, args: string[], env: NodeJS.ProcessEnv): Promise<End> {
  return new Promise((resolve, reject) => {
    const [file, ...words] = untapped(command, args, env)
    const child = spawn(file!, words, { env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
    const end: End = { status: null, signal: null, stdout: '', stderr: '', late: false }
    const limit = setTimeout(() => {
      end.late = true
      process.kill(-child.pid!, 'SIGKILL')
    }, TIME_LIMIT)
    child.stdout.setEncoding('utf8').on('data', text => (end.stdout += text))
    child.stderr.setEncoding('utf8').on('data', text => (end.stderr += text))
    child.once('error', reject)
    child.once('close', (status, signal) => {
      clearTimeout(limit)
      resolve({ ...end, status, signal })
    })
  })
}

/** Builds a program unless it is newer than all that it is made of. */
async function compile(source: string, into: string, ...more: string[]): Promise<void> {
  const target = join(into, basename(source, '.c'))
  const age = (file: string) => statSync(file).mtimeMs
  const parts = [
    source,
    join(here, 'tap.h'),
    join(here, 'net.h'),
    join(root, 'test/conformance.ts'),
  ]
  if (existsSync(target) && parts.every(part => age(part) < age(target))) return
  await promisify(execFile)('gcc', [...flags.split(' '), ...more, source, '-o', target])
}

/** A child program that no library can be loaded into; the cases that need it skip themselves. */
async function compileStatic(t: Test, source: string): Promise<void> {
  try {
    await compile(source, out, '-static')
  } catch (error) {
    rmSync(join(out, basename(source, '.c')), { force: true })
    t.comment(`no static ${basename(source)}: ${String(error)}`)
  }
}
