// netcat, OpenBSD's and the traditional one: bytes both ways at once, half-closed connections, datagrams, port scans.
import { join } from 'node:path'

import t from 'tap'

import { makeFile, scratch, sha256 } from '../helpers/content.ts'
import { runtime } from '../helpers/ioth-run.ts'
import { iothStart, until, type Program } from '../helpers/program.ts'
import { Shell } from '../helpers/shell.ts'
import { nothingLeft } from '../helpers/stack-server.ts'

t.jobs = 2

const SIZE = 4_000_000
const listening = (program: Program) =>
  until('netcat to listen', 20_000, () => {
    if (program.over) throw new Error(program.stderr)
    return /listening on|bound on/i.test(program.stderr)
  })

for (const [name, listen, close, terminated] of [
  ['nc.openbsd', '-l', '-N', { signal: 'SIGTERM' }],
  ['nc.traditional', '-l -p', '-q 10', { status: 1 }],
] as const)
  t.test(name, async t => {
    const env = runtime(t)
    const dir = scratch(t)
    const path = (file: string) => join(dir, file)
    const [sent, answered] = [makeFile(path('sent'), SIZE), makeFile(path('answer'), SIZE + 1)]
    const shell = new Shell(t, env, '--ip', '10.0.0.6')
    /** netcat at a new node. */
    const serve = async (options: string, redirected = '') => {
      const words = `exec ${name} -v ${options} ${redirected}`
      const server = iothStart(t, ['--ip', '10.0.0.5', 'sh', '-c', words], { env })
      await listening(server)
      return server
    }

    const server = await serve(`${listen} 7`, `<${path('answer')} >${path('received')}`)
    // OpenBSD's -l ends at the client's end, though its own stdin has more.
    const all = `[ "$(stat -c %s ${path('back')})" -gt ${SIZE} ]`
    const source = `cat ${path('sent')}; until ${all}; do sleep 0.05; done`
    await shell.ask(t, `{ ${source}; } | ${name} ${close} 10.0.0.5 7 >${path('back')}`)
    t.match(await server.ends(), { status: 0, stderr: /onnect.*\W10\.0\.0\.6\W/ })
    t.equal(sha256(path('received')), sent)
    t.equal(sha256(path('back')), answered)

    const echo = await serve(`-u ${listen} 7`)
    const peer = iothStart(t, ['--ip', '10.0.0.7', name, '-u', '10.0.0.5', '7'], { env })
    peer.child.stdin!.write('question\n')
    await echo.says(/^question\n$/)
    echo.child.stdin!.write('answer\n')
    await peer.says(/^answer\n$/)
    for (const program of [peer, echo]) {
      program.signal('SIGTERM')
      t.match(await program.ends(), terminated)
    }
    t.match(await shell.run(`${name} -nvvz -w 5 10.0.0.6 7`), { status: 1, text: /refused/ })
    await shell.exit(t)
    await nothingLeft(t, env)
  })

t.test('nc.openbsd -k: one after the other; IPv6; -z says which ports are open', async t => {
  const env = runtime(t)
  const words = ['--ip', 'fd00::5', '--ip', '10.0.0.5', 'nc.openbsd', '-v', '-6', '-l', '-k', '7']
  const server = iothStart(t, words, { env })
  await listening(server)
  const shell = new Shell(t, env, '--ip', 'fd00::6')
  for (const word of ['one', 'two', 'three'])
    await shell.ask(t, 'nc.openbsd -N fd00::5 7', `${word}\n`)
  await server.says(/^one\ntwo\nthree\n$/)
  const scan = await shell.run('nc.openbsd -nvz -w 5 fd00::5 6-8')
  const lines = scan.text.split('\n').filter(Boolean)
  t.equal(lines.length, 3)
  for (const [i, pattern] of [
    /port 6 .*refused/,
    /fd00::5 7 port .*succeeded/,
    /port 8 .*refused/,
  ].entries())
    t.match(lines[i], pattern)
  server.signal('SIGTERM')
  t.match(await server.ends(), { signal: 'SIGTERM' })
  await shell.exit(t)
  await nothingLeft(t, env)
})
