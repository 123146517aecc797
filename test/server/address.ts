// Two stacks cannot have one address: the second is told by whom it is taken.
import t from 'tap'

import { iothRun, runtime } from '../helpers/ioth-run.ts'
import { iothStart } from '../helpers/program.ts'
import { nothingLeft, stackServerOf } from '../helpers/stack-server.ts'

const MAC = '02:00:00:00:00:05'

t.test('an address or MAC that is taken: 125, and a sentence', async t => {
  const env = runtime(t)
  const owner = ['--ip', '10.0.0.5', '--ip', '192.168.1.1', '--mac', MAC, 'sh', '-c']
  const program = iothStart(t, [...owner, 'echo ready; read line'], { env })
  await program.says(/ready/)
  await stackServerOf(env, program.pid)
  const has = `${MAC} \\(sh, pid ${program.pid}\\) has it`
  for (const [options, what] of [
    [['--ip', '10.0.0.5'], '10.0.0.5'],
    [['--ip', '10.0.0.5/8'], '10.0.0.5'],
    [['--ip', '10.0.0.6', '--ip', '192.168.1.1'], '192.168.1.1'],
    [['--ip', '10.0.0.6', '--mac', MAC], MAC],
  ] as const) {
    const { status, stdout, stderr } = await iothRun([...options, 'echo', 'not run'], { env })
    t.match({ status, stdout }, { status: 125, stdout: '' }, options.join(' '))
    t.match(stderr, new RegExp(`^ioth-run: cannot take ${what} on network "default": ${has}\n$`))
  }
  t.match(await iothRun(['--ip', '10.0.0.6', 'true'], { env }), { status: 0 }, 'it took nothing')
  program.child.stdin!.end('\n')
  t.match(await program.ends(), { status: 0 })
  await nothingLeft(t, env)
})

t.test('one command after another can have the same address', async t => {
  const env = runtime(t)
  for (let i = 0; i < 5; i++)
    t.match(await iothRun(['--ip', '10.0.0.5', 'true'], { env }), { status: 0, stderr: '' })
})
