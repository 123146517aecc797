import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'

import t from 'tap'

import { execute, iothRun, IOTH_RUN, root, runtime } from '../helpers/ioth-run.ts'

const env = runtime(t)
const dir = t.testdir()

for (const [args, status, stderr] of [
  [[], 125, /^ioth-run: no command given \(.*\)\n$/],
  [['--frob', 'x'], 125, /^ioth-run: unknown option "--frob" \(there are .*\)\n$/],
  [['--ip', '10.0.0.300', 'true'], 125, /^ioth-run: cannot use --ip "10\.0\.0\.300": .*\n$/],
  [['--mac', 'x', 'true'], 125, /^ioth-run: cannot use --mac "x": .*\n$/],
  [['--gateway', 'x', 'true'], 125, /^ioth-run: cannot use --gateway "x": .*\n$/],
  [['--net', 'tapp://x', 'true'], 125, /^ioth-run: .*"tapp:\/\/x".*\n$/],
  [['no-such-program'], 127, /^ioth-run: cannot run "no-such-program": no such command in PATH\n$/],
  [['./no-such'], 127, /^ioth-run: cannot run ".\/no-such": no such file\n$/],
  [['/etc'], 126, /^ioth-run: cannot run "\/etc": it is a directory\n$/],
  [['/etc/passwd'], 126, /^ioth-run: cannot run "\/etc\/passwd": it may not be executed.*\n$/],
] as const)
  t.test(`ioth-run ${args.join(' ')} ends with ${status} and one sentence`, async t => {
    t.match(await iothRun([...args], { env }), { status, signal: null, stdout: '', stderr })
  })

t.test('a script whose interpreter is missing gives 126', async t => {
  writeFileSync(`${dir}/script`, '#!/no/such/interpreter\n', { mode: 0o755 })
  const { status, stderr } = await iothRun([`${dir}/script`], { env })
  t.equal(status, 126)
  t.equal(stderr, `ioth-run: cannot run "${dir}/script": its interpreter is missing\n`)
})

t.test('a script without #! runs, as from a shell', async t => {
  writeFileSync(`${dir}/plain`, 'echo plain "$1"\n', { mode: 0o755 })
  t.match(await iothRun([`${dir}/plain`, 'x'], { env }), { status: 0, stdout: 'plain x\n' })
})

t.test('Node too old: one sentence, before anything newer is loaded', async t => {
  writeFileSync(
    `${dir}/old.cjs`,
    `Object.defineProperty(process, 'version', { value: 'v18.19.0' })`,
  )
  const old = { ...env, NODE_OPTIONS: `--require=${dir}/old.cjs` }
  t.match(await iothRun(['true'], { env: old }), {
    status: 125,
    stderr: 'ioth-run: cannot start with Node v18.19.0: install Node.js 20 or newer\n',
  })
})

t.test('no node in PATH: one sentence', async t => {
  mkdirSync(`${dir}/bin`)
  for (const tool of ['readlink', 'tr']) symlinkSync(`/usr/bin/${tool}`, `${dir}/bin/${tool}`)
  t.match(await iothRun(['true'], { env: { ...env, PATH: `${dir}/bin` } }), {
    status: 125,
    stderr: /^ioth-run: cannot start: there is no node in PATH .*\n$/,
  })
})

t.test('not built: make is named', async t => {
  mkdirSync(`${dir}/tree`)
  cpSync(`${root}/dist/cli`, `${dir}/tree/dist/cli`, { recursive: true })
  cpSync(`${root}/dist/src`, `${dir}/tree/dist/src`, { recursive: true })
  copyFileSync(`${root}/package.json`, `${dir}/tree/package.json`)
  symlinkSync(`${root}/node_modules`, `${dir}/tree/node_modules`)
  const { status, stderr } = await execute(`${dir}/tree/dist/cli/ioth-run.js`, ['true'], { env })
  t.equal(status, 125)
  t.equal(stderr, `ioth-run: there is no ${dir}/tree/build/libioth.so: run make first\n`)
})

t.test('a runtime directory that cannot be used', async t => {
  writeFileSync(`${dir}/file`, '')
  const nowhere = { ...env, XDG_RUNTIME_DIR: `${dir}/file` }
  const { status, stderr } = await iothRun(['true'], { env: nowhere })
  t.equal(status, 125)
  t.match(stderr, /^ioth-run: [^\n]*\n$/, 'one sentence')
  t.match(stderr, `${dir}/file`)
})

t.test('works as "node ioth-run.js" too', async t => {
  const { status, stdout } = await execute(process.execPath, [IOTH_RUN, 'echo', 'x'], { env })
  t.match({ status, stdout }, { status: 0, stdout: 'x\n' })
})

/** For i386, without libc: ends with what socket(AF_INET, SOCK_STREAM, 0) says, as an errno. */
const I386 = `
void _start(void)
{
	int r;
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(359), "b"(2), "c"(1), "d"(0));
	__asm__ volatile("int $0x80" : : "a"(1), "b"(r < 0 ? -r : 0));
}
`

t.test('a 32-bit program runs, without a network, and that is said', async t => {
  const program = `${dir}/i386`
  const flags = ['-m32', '-nostdlib', '-static', '-fno-pie', '-fno-stack-protector']
  execFileSync('gcc', [...flags, '-x', 'c', '-', '-o', program], { input: I386 })
  t.match(await iothRun([program], { env }), {
    status: 97,
    stdout: '',
    stderr: `ioth-run: ${program} is a program for another machine: it runs without a network\n`,
  })
})

const notRoot = process.geteuid?.() !== 0 && 'only root can make one'
t.test(
  'a set-user-ID program has its user’s rights, and that is said',
  { skip: notRoot },
  async t => {
    const program = `${dir}/setuid`
    copyFileSync('/bin/id', program)
    chownSync(program, 65534, 65534)
    chmodSync(program, 0o4755)
    t.match(await iothRun([program, '-u'], { env }), {
      status: 0,
      stdout: `${process.geteuid?.()}\n`,
      stderr: `ioth-run: ${program} runs with your rights: its set-user-ID bit has no effect here\n`,
    })
  },
)
