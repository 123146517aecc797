// ping and traceroute, as Debian has them: between nodes, over loopback, in native mode, as a user without rights.
import { chownSync } from 'node:fs'

import t, { type Test } from 'tap'

import { execute, IOTH_RUN, runtime } from '../helpers/ioth-run.ts'
import { iothStart } from '../helpers/program.ts'
import { Shell } from '../helpers/shell.ts'

const ME = ['--ip', '10.0.0.6', '--ip', 'fd00::6']
const PEER = ['--ip', '10.0.0.5', '--ip', 'fd00::5']

const PLACES = [
  ['127.0.0.1', 'IPv4 loopback'],
  ['::1', 'IPv6 loopback'],
  ['10.0.0.6', 'an own address'],
  ['10.0.0.5', 'a peer'],
  ['fd00::5', 'a peer, IPv6'],
] as const

/** Two nodes on a network of the test's own: a peer, and a shell. */
async function nodes(t: Test, mode = 'ring') {
  const env = { ...runtime(t), ...(mode === 'native' && { IOTH_MODE: mode }) }
  const peer = iothStart(t, [...PEER, 'sh', '-c', 'echo there; exec sleep 600'], { env })
  await peer.says(/there/)
  return new Shell(t, env, ...ME)
}

t.jobs = 3

for (const mode of ['ring', 'native'])
  t.test(mode, async t => {
    const shell = await nodes(t, mode)
    for (const [place, what] of PLACES) {
      await t.test(`ping to ${what}`, async t => {
        const text = await shell.ask(t, `ping -n -c 3 -i 0.2 ${place}`)
        t.match(text, '3 packets transmitted, 3 received, 0% packet loss')
        t.match(text, new RegExp(`64 bytes from ${place}: icmp_seq=1 ttl=64 time=`))
        t.notMatch(text, /^ping: /m)
      })

      for (const how of ['', '-I', '-T'])
        await t.test(`traceroute ${how} to ${what}`, async t => {
          const text = await shell.ask(t, `traceroute -n ${how} ${place}`)
          t.match(text, /^traceroute to /, 'it complains of nothing')
          t.match(text, new RegExp(`^ 1 .* ?${place} `, 'm'), 'the first hop is the last')
          t.notMatch(text, /^ 2 /m)
        })
    }
    await shell.exit(t)
  })

t.test('what ping, traceroute and tracepath say', async t => {
  const shell = await nodes(t)

  for (const [what, words, size] of [
    ['fragments', '-s 8000', 8008],
    ['an ident of its own', '-e 77 -s 1000', 1008],
  ] as const)
    await t.test(`ping: ${what}`, async t => {
      t.match(await shell.ask(t, `ping -n -c 1 ${words} 10.0.0.5`), `${size} bytes from 10.0.0.5`)
    })

  await t.test('ping to nobody: told by our own link', async t => {
    const { status, text } = await shell.run('ping -n -c 1 -W 5 10.0.0.99')
    t.equal(status, 1)
    t.match(text, 'From 10.0.0.6 icmp_seq=1 Destination Host Unreachable')
  })

  await t.test('ping where there is no route', async t => {
    const answer = await shell.run('ping -n -c 1 192.0.2.1')
    t.match(answer, { status: 2, text: /Network is unreachable/ })
  })

  for (const place of ['10.0.0.5', 'fd00::5'])
    await t.test(`too large for the path to ${place}: the error queue tells its mtu`, async t => {
      const { text } = await shell.run(`ping -n -M do -s 2000 -c 1 -W 1 ${place}`)
      t.match(text, /local error: message too long, mtu[=:] ?1500/)
      const traced = await shell.run(`traceroute -n --mtu ${place}`)
      t.match(traced.text, new RegExp(`^ 1  ${place} .*F=1500`, 'm'))
    })

  for (const [flag, place] of [
    ['-4', '10.0.0.5'],
    ['-6', 'fd00::5'],
  ] as const)
    await t.test(`tracepath ${flag}: mtu, hops there and back`, async t => {
      const { text } = await shell.run(`tracepath -n ${flag} ${place}`)
      t.match(text, new RegExp(`1: +${place} .* reached`))
      t.match(text, 'Resume: pmtu 1500 hops 1 back 1')
    })

  await t.test('traceroute -P: a protocol that nobody has', async t => {
    const { text } = await shell.run('traceroute -n -P 99 10.0.0.5')
    t.match(text, /^ 1 {2}10\.0\.0\.5 .*!P/m)
  })

  for (const [flag, place] of [
    ['-4', '10.0.0.6'],
    ['-4', '10.0.0.5'],
    ['-6', 'fd00::6'],
    ['-6', 'fd00::5'],
  ] as const)
    await t.test(`ping ${flag} -I eth0 ${place}`, async t => {
      await shell.ask(t, `ping ${flag} -n -I eth0 -c 1 -W 5 ${place}`)
    })

  await t.test('-f sends as fast as it is answered', async t => {
    const text = await shell.ask(t, 'ping -n -q -f -c 500 10.0.0.5')
    t.match(text, '500 packets transmitted, 500 received, 0% packet loss')
  })

  await shell.exit(t)
})

if (process.getuid!() === 0)
  t.test('a file with capabilities, run by a user who is not root', async t => {
    const env = runtime(t)
    chownSync(env.XDG_RUNTIME_DIR!, 65534, 65534)
    const nobody = ['--reuid', '65534', '--regid', '65534', '--clear-groups', '--']
    for (const words of [
      ['ping', '-c', '1', '127.0.0.1'],
      ['sh', '-c', 'ping -c 1 127.0.0.1'],
      ['env', 'ping', '-6', '-c', '1', '::1'],
      ['traceroute', '127.0.0.1'],
    ]) {
      const command = [...nobody, IOTH_RUN, ...ME, ...words]
      const { status, stderr } = await execute('setpriv', command, { env, cwd: '/' })
      t.match({ status, stderr }, { status: 0, stderr: '' }, words.join(' '))
    }
    const name = ['sh', '-c', 'ping -c 2 127.0.0.1 >/dev/null & sleep 0.5; cat /proc/$!/comm']
    const { stdout } = await execute('setpriv', [...nobody, IOTH_RUN, ...ME, ...name], {
      env,
      cwd: '/',
    })
    t.equal(stdout, 'ping\n', 'it is called by its name')
  })
