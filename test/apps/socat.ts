// socat as client and server: datagrams, half-closed connections, a program behind a socket.
import t from 'tap'

import { iothRun, runtime } from '../helpers/ioth-run.ts'
import { iothStart } from '../helpers/program.ts'

const env = runtime(t)
const server = (...words: string[]) => [
  '--ip',
  '10.0.0.5',
  '--ip',
  'fd00::5',
  'socat',
  '-d',
  '-d',
  ...words,
]
const client = (...words: string[]) => ['--ip', '10.0.0.6', '--ip', 'fd00::6', 'socat', ...words]

/** socat says on standard error that it listens. */
const listening = async (t: Parameters<typeof iothStart>[0], ...words: string[]) => {
  const program = iothStart(t, server(...words), { env })
  for (
    let i = 0;
    i < 400 && !/listening on|receiving on|starting data transfer/.test(program.stderr);
    i++
  )
    await new Promise(resolve => setTimeout(resolve, 25))
  return program
}

const text = 'a line\n'.repeat(5000)

t.test('TCP: EXEC answers after the end of what was sent', async t => {
  await listening(t, 'TCP-LISTEN:7', 'EXEC:wc -c')
  const { status, stdout } = await iothRun(client('-t', '5', '-', 'TCP:10.0.0.5:7'), {
    env,
    input: text,
  })
  t.match({ status, stdout }, { status: 0, stdout: `${text.length}\n` })
})

t.test('TCP over IPv6, a child for each connection', async t => {
  await listening(t, 'TCP6-LISTEN:8,fork', 'SYSTEM:tr a-z A-Z')
  for (let i = 0; i < 3; i++) {
    const { stdout } = await iothRun(client('-t', '5', '-', 'TCP6:[fd00::5]:8'), {
      env,
      input: text,
    })
    t.equal(stdout, text.toUpperCase())
  }
})

t.test('UDP: an echo for each datagram, by a child', async t => {
  await listening(t, 'UDP-RECVFROM:9,fork', 'EXEC:rev')
  for (const word of ['one', 'two', 'three']) {
    const { stdout } = await iothRun(client('-t', '2', '-', 'UDP:10.0.0.5:9'), {
      env,
      input: `${word}\n`,
    })
    t.equal(stdout, `${[...word].reverse().join('')}\n`)
  }
})

t.test('UDP over IPv6, one peer', async t => {
  await listening(t, 'UDP6-LISTEN:10', 'EXEC:cat')
  const { stdout } = await iothRun(client('-t', '1', '-', 'UDP6:[fd00::5]:10'), {
    env,
    input: 'six\n',
  })
  t.equal(stdout, 'six\n')
})

t.test('a port that nobody has: ECONNREFUSED, of TCP at once, of UDP when it is read', async t => {
  for (const to of ['TCP:10.0.0.6:99', 'UDP:10.0.0.6:99']) {
    const { stderr } = await iothRun(client('-t', '1', '-', to), { env, input: 'x' })
    t.match(stderr, /Connection refused/, to)
  }
})
