// What a program gets from whoever starts it is the same with ioth-run and without.
import { closeSync, openSync } from 'node:fs'

import t from 'tap'

import { execute, IOTH_RUN, runtime, type Options } from '../helpers/ioth-run.ts'

const env = runtime(t)

/** The same command, plain and under ioth-run, in the same surroundings. */
async function both(wrapper: string[], command: string[], options: Options = {}) {
  const [head, ...tail] = wrapper as [string, ...string[]]
  const run = async (through: string[]) => {
    const { stdout, stderr, status } = await execute(head, [...tail, ...through, ...command], {
      env,
      ...options,
    })
    return { stdout, stderr, status }
  }
  return { plain: await run([]), ioth: await run([IOTH_RUN, '--ip', '10.9.0.1']) }
}

const sh = (line: string) => ['sh', '-c', `${line}; exec "$@"`, 'sh']
const python = (line: string) => [
  'python3',
  '-c',
  `import os, signal, sys\n${line}\nos.execvp(sys.argv[1], sys.argv[1:])`,
]

for (const [title, wrapper] of [
  ['plain', ['env']],
  ['trap "" INT', sh(`trap '' INT`)],
  ['trap "" PIPE HUP QUIT USR1 CHLD', sh(`trap '' PIPE HUP QUIT USR1 CHLD`)],
  ['nohup', ['nohup']],
  ['ulimit -n 300', sh('ulimit -n 300')],
  ['ulimit -Sn 64', sh('ulimit -Sn 64')],
  ['ulimit -Sn 20', sh('ulimit -Sn 20')],
  ['umask 027', sh('umask 027')],
  ['nice', ['nice', '-n', '5']],
  ['SIGUSR2 and SIGRTMIN+3 blocked', python('signal.pthread_sigmask(0, {12, 37})')],
  ['real-time signals ignored', python('signal.signal(37, signal.SIG_IGN)')],
  ['setsid', ['setsid', '--wait']],
] as const)
  t.test(`${title}: limits, signals, umask are the same`, async t => {
    const lines = `grep -E '^(Umask|State|Sig(Blk|Ign|Cgt)|Uid|Gid|Groups|Max open)' /proc/self/status /proc/self/limits; cut -d' ' -f18,19 /proc/self/stat`
    const { plain, ioth } = await both([...wrapper], ['sh', '-c', lines])
    t.match(plain.stdout, 'SigIgn')
    t.same(ioth, plain)
  })

const listing = [
  'sh',
  '-c',
  `ls -l /proc/self/fd | sed -n 's/.* \\([0-9]* -> [a-z/]*\\).*/\\1/p'; cat /proc/self/fdinfo/[012] | grep flags`,
]

for (const [title, wrapper] of [
  ['plain', ['env']],
  ['stdin closed', sh('exec <&-')],
  ['stdout on stderr, 3 open', sh('exec 3>&1 1>&2')],
  ['3 and 9 open', sh('exec 3</etc/passwd 9>/dev/null')],
] as const)
  t.test(`${title}: descriptors are the same`, async t => {
    const { plain, ioth } = await both([...wrapper], listing)
    t.same(ioth, plain)
  })

t.test('descriptors up to 40 are passed on, and nobody else keeps them', async t => {
  const file = openSync('/etc/passwd', 'r')
  const stdio: Options['stdio'] = ['ignore', 'pipe', 'pipe', ...Array<number>(38).fill(file)]
  const { plain, ioth } = await both(['env'], listing, { stdio })
  closeSync(file)
  t.match(plain.stdout, /^40 -> \/etc\/passwd$/m)
  t.same(ioth, plain)
})

t.test('a pipe on 30 closes when the program closes it: the stack server has no copy', async t => {
  const program = `
import os, subprocess, sys
r, w = os.pipe()
os.dup2(w, 30); os.close(w)
p = subprocess.Popen([sys.argv[1], '--ip', '10.9.0.1', 'python3', '-c',
    'import os, sys; os.close(30); print("closed", flush=True); sys.stdin.read()'],
    pass_fds=[30], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
os.close(30)
print(p.stdout.readline().decode().strip(), os.read(r, 1))
p.stdin.close()
sys.exit(p.wait())
`
  t.match(await execute('python3', ['-c', program, IOTH_RUN], { env }), {
    status: 0,
    stdout: "closed b''\n",
  })
})

t.test('a non-blocking standard input stays so, a blocking one too', async t => {
  const { plain, ioth } = await both(python('os.set_blocking(0, False)'), [
    'sh',
    '-c',
    'grep flags /proc/self/fdinfo/0',
  ])
  t.match(plain.stdout, /4002|4000/)
  t.same(ioth, plain)
})

t.test('the working directory is the same', async t => {
  const cwd = t.testdir()
  const { plain, ioth } = await both(['env'], ['pwd', '-P'], { cwd })
  t.equal(plain.stdout, `${cwd}\n`)
  t.same(ioth, plain)
})

const odd = ['a.b=1', 'BASH_FUNC_x%%=() { :; }', 'LINES2=one\ntwo\n', 'EMPTY=', '1X=y']
for (const [title, wrapper] of [
  ['as it is', ['env']],
  ['entries that no shell can hold', ['env', ...odd]],
  [
    'nearly none',
    ['env', '-i', `PATH=${process.env.PATH}`, `XDG_RUNTIME_DIR=${env.XDG_RUNTIME_DIR}`],
  ],
  ['bytes that are not UTF-8', sh(`export LATIN="$(printf '\\344x')"`)],
  ['20 KB in one entry', ['env', `LONG=${'x'.repeat(20_000)}`]],
  ['PWD that is wrong', ['env', 'PWD=/nowhere', 'OLDPWD=/']],
  ['LD_PRELOAD that is empty', ['env', 'LD_PRELOAD=']],
] as const)
  t.test(`environment, ${title}: only ours is added`, async t => {
    const { plain, ioth } = await both(
      [...wrapper],
      ['od', '-An', '-v', '-tx1', '/proc/self/environ'],
    )
    t.same(
      environment(ioth.stdout).filter(notOurs),
      environment(plain.stdout).filter(notEmptyPreload),
    )
    t.equal(environment(ioth.stdout).filter(entry => !notOurs(entry)).length, 5)
  })

const environment = (hex: string) =>
  Buffer.from(hex.replace(/\s/g, ''), 'hex').toString('latin1').replace(/\0$/, '').split('\0')
const notOurs = (entry: string) => !/^(IOTH_(STACK|DIR|TOKEN|SHIM)|LD_PRELOAD)=/.test(entry)
const notEmptyPreload = (entry: string) => entry !== 'LD_PRELOAD='

t.test('an environment of 100 KB still starts', async t => {
  const big = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`V${i}`, 'x'.repeat(5000)]))
  const count = ['sh', '-c', 'echo ${#V0} ${#V19}']
  const { ioth } = await both(['env'], count, { env: { ...env, ...big } })
  t.match(ioth, { status: 0, stdout: '5000 5000\n' })
})

t.test('arguments arrive byte for byte', async t => {
  const line = `exec "$@" "$(printf '\\344\\001 x')" '' 'a b' -- --ip '*'`
  const show = ['sh', '-c', 'for a; do printf "%s" "$a" | od -An -tx1; done', 'sh']
  const { plain, ioth } = await both(['sh', '-c', line, 'sh'], show)
  t.match(plain.stdout, ' e4 01 20 78')
  t.same(ioth, plain)
})

t.test('argv[0] is the word that was typed, not a path', async t => {
  const { plain, ioth } = await both(['env'], ['cat', '/proc/self/cmdline'])
  t.same(ioth, plain)
})
