import { chownSync } from 'node:fs'

import t from 'tap'

import { execute, iothRun, IOTH_RUN, runtime } from '../helpers/ioth-run.ts'

const env = runtime(t)
const echo = 'echo "$(id -u)"; grep CapEff /proc/self/status'

if (process.getuid!() === 0)
  t.test('root may run it as nobody', async t => {
    chownSync(env.XDG_RUNTIME_DIR!, 65534, 65534)
    const nobody = ['--reuid', '65534', '--regid', '65534', '--clear-groups', '--']
    const command = [IOTH_RUN, '--ip', '10.0.0.5', 'sh', '-c', echo]
    t.match(await execute('setpriv', [...nobody, ...command], { env, cwd: '/' }), {
      status: 0,
      stdout: '65534\nCapEff:\t0000000000000000\n',
      stderr: '',
    })
  })
else
  t.test('no privilege is needed', async t => {
    const { status, stdout } = await iothRun(['--ip', '10.0.0.5', 'sh', '-c', echo], { env })
    t.match({ status, stdout }, { status: 0, stdout: `${process.getuid!()}\n` })
  })

t.test('the program cannot gain privileges', async t => {
  const { stdout } = await iothRun(['grep', 'NoNewPrivs', '/proc/self/status'], {
    env: runtime(t),
  })
  t.equal(stdout, 'NoNewPrivs:\t1\n')
})
