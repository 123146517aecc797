// start.sh under the shells that /bin/sh may be.
import { spawnSync } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'

import t from 'tap'

import { root } from '../helpers/ioth-run.ts'

const script = `${root}cli/start.sh`
const environment = {
  PATH: process.env.PATH,
  'a.b': '1',
  'BASH_FUNC_x%%': '() { :; }',
  LINES2: 'one\ntwo\n',
  EMPTY: '',
  IOTH_STACK: 'outer',
}
const shells = ['dash', 'bash --posix', 'bash', 'busybox sh'].filter(
  shell => spawnSync(shell.split(' ')[0]!, ['-c', ':']).error === undefined,
)

/** IOTH_START as this shell writes it, in surroundings that `wrapper` makes. */
function start(shell: string, wrapper = '') {
  const file = openSync('/etc/passwd', 'r')
  const line = `${wrapper} exec ${shell} -c 'IOTH_FILE=${script}; . "$IOTH_FILE"; printf "%s" "$IOTH_START"'`
  const { stdout, stderr, pid } = spawnSync('sh', ['-c', line], {
    encoding: 'latin1',
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe', file],
  })
  closeSync(file)
  t.equal(stderr, '', `${shell} says nothing`)
  const [first, ...entries] = stdout.split('\n')
  const [own, limit, blocked, ignored, fds] = first!.split(' ')
  return { own: own === String(pid), limit, blocked, ignored, fds: fds!.split(','), entries }
}

t.ok(shells.length >= 2, shells.join(', '))
for (const shell of shells) {
  t.test(`${shell}: pid, limit, signals, descriptors`, async t => {
    const { own, limit, blocked, ignored, fds } = start(shell, `ulimit -Sn 300; trap "" HUP INT;`)
    t.ok(own, 'its own pid, which Node keeps')
    t.equal(limit, '300')
    t.equal(Number(`0x${blocked}`), 0)
    // 32 and 33, libc's own, are as whoever started the test left them.
    t.equal(Number(`0x${ignored}`) & 0x7fffffff, 3)
    for (const fd of ['0', '1', '2', '3']) t.ok(fds.includes(fd), fd)
  })

  t.test(`${shell}: standard input closed`, async t => {
    const { fds } = start(shell, 'exec <&-;')
    t.notOk(fds.includes('0'))
    for (const fd of ['1', '2', '3']) t.ok(fds.includes(fd), fd)
  })

  t.test(`${shell}: the environment as it was given to the shell`, async t => {
    // The outer sh holds only what a shell can hold: env(1) gives the rest to the inner one.
    const entries = start(`env 'a.b=1' 'BASH_FUNC_x%%=() { :; }' ${shell}`).entries
    t.ok(entries.includes('a.b=1'))
    t.ok(entries.includes('BASH_FUNC_x%%=() { :; }'))
    t.ok(entries.includes('EMPTY='))
    t.ok(entries.includes('LINES2=one\x01two\x01'))
    t.ok(entries.includes('IOTH_STACK=outer'))
    t.notOk(entries.some(entry => entry.startsWith('IOTH_START=') || entry.startsWith('IOTH_KEY=')))
  })
}
