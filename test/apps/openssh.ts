// OpenSSH: a server that starts itself anew for each connection and shuts the child that reads it in; files,
// forwarded ports, terminals, sessions that share a connection.
import { join } from 'node:path'

import t from 'tap'

import { makeFile, sha256 } from '../helpers/content.ts'
import { execute, IOTH_RUN, runtime } from '../helpers/ioth-run.ts'
import { serveSite } from '../helpers/nginx.ts'
import { iothStart, until } from '../helpers/program.ts'
import { Shell } from '../helpers/shell.ts'
import { serveSsh } from '../helpers/ssh.ts'
import { nothingLeft } from '../helpers/stack-server.ts'

t.jobs = 2

const SIZE = 5_000_000

t.test('commands, a terminal, files both ways; who is there stays when sshd ends', async t => {
  const env = runtime(t)
  const lines = ['Subsystem sftp internal-sftp']
  const { dir, program: sshd, config } = await serveSsh(t, env, { lines })
  const sum = makeFile(join(dir, 'file'), SIZE)
  const shell = new Shell(t, env, '--ip', '10.0.0.6', '--ip', '10.0.0.7')
  const ssh = `ssh -F ${config}`

  const { status, text } = await shell.run(`${ssh} 10.0.0.5 'echo $SSH_CONNECTION; exit 7'`)
  t.match({ status, text }, { status: 7, text: /^10\.0\.0\.6 \d+ 10\.0\.0\.5 22\n$/ })
  const bound = await shell.ask(t, `${ssh} -b 10.0.0.7 10.0.0.5 'hostname -I; echo $SSH_CLIENT'`)
  t.match(bound, /^10\.0\.0\.5 *\n10\.0\.0\.7 \d+ 22$/, 'its node is the server’s')
  t.equal(await shell.ask(t, `${ssh} 10.0.0.5 sha256sum <${dir}/file`), `${sum}  -`)
  await shell.ask(t, `${ssh} 10.0.0.5 cat ${dir}/file >${dir}/piped`)
  t.equal(sha256(join(dir, 'piped')), sum)

  for (const [from, to] of [
    [`${dir}/file`, `10.0.0.5:${dir}/there`],
    [`10.0.0.5:${dir}/there`, `${dir}/back`],
  ])
    await shell.ask(t, `scp -q -F ${config} ${from} ${to}`)
  t.equal(sha256(join(dir, 'back')), sum, 'scp')
  const batch = `put ${dir}/file ${dir}/put\nget ${dir}/put ${dir}/got\nls -l ${dir}/put\n`
  t.match(await shell.ask(t, `sftp -q -F ${config} -b - 10.0.0.5`, batch), ` ${SIZE} `)
  t.equal(sha256(join(dir, 'got')), sum, 'sftp')

  const command = `trap 'exit 9' INT; tty; read word; echo "got <$word>"; cat`
  const words = ['ssh', '-tt', '-F', config, '10.0.0.5', command]
  const terminal = iothStart(t, ['--ip', '10.0.0.8', ...words], { env })
  await terminal.says(/^\/dev\/pts\/\d+\r\n/)
  sshd.signal('SIGTERM')
  // Its end is not that of its output, which the session has, too.
  await until('sshd to end', 20_000, () => sshd.child.exitCode === 0)
  t.match(sshd.stderr, /Received signal 15; terminating/)
  terminal.child.stdin!.write('hello\n')
  await terminal.says(/got <hello>\r\n/)
  terminal.child.stdin!.write('\x03')
  t.match(await terminal.ends(), { status: 9 }, 'ctrl-C is for the command')
  await shell.exit(t)
  await nothingLeft(t, env)
})

t.test('one connection for several sessions, ports forwarded both ways, SOCKS', async t => {
  const env = runtime(t)
  const { dir, program: sshd, config } = await serveSsh(t, env)
  const site = await serveSite(t, env, { ip: '10.0.0.9', workers: 1 })
  const sum = site.file('file', SIZE)
  const shell = new Shell(t, env, '--ip', '10.0.0.6')
  const ssh = `ssh -F ${config} -S ${dir}/control`
  const forwarded = '-L 8080:10.0.0.9:80 -R 9090:10.0.0.9:80 -D 1080 -L [::1]:8081:127.0.0.1:22'
  await shell.ask(t, `${ssh} -f -N -M -o ExitOnForwardFailure=yes ${forwarded} 10.0.0.5`)

  const get = (where: string) => `curl -sS ${where}/file | sha256sum; curl -sS ${where}/who`
  for (const [way, command, from] of [
    ['-L', get('http://127.0.0.1:8080'), '10.0.0.5'],
    ['-R', `${ssh} 10.0.0.5 '${get('http://127.0.0.1:9090')}'`, '10.0.0.6'],
    ['-D', get('-x socks5h://127.0.0.1:1080 http://10.0.0.9'), '10.0.0.5'],
  ] as const) {
    const [first, second] = (await shell.ask(t, command)).split('\n')
    t.equal(first, `${sum}  -`, way)
    t.match(second, new RegExp(`^\\d+ ${from} 10\\.0\\.0\\.9$`), `${way} comes from ${from}`)
  }
  const many = `-Z --no-progress-meter -w '%{http_code}\\n' -o /dev/null`
  const answers = await shell.ask(t, `curl -sS ${many} 'http://127.0.0.1:8080/file?[1-20]'`)
  t.equal(answers, Array(20).fill('200').join('\n'))
  const banner = `exec 3<>/dev/tcp/::1/8081; read -r line <&3; echo "$line"`
  t.match(await shell.ask(t, `bash -c '${banner}'`), /^SSH-2\.0-OpenSSH/)
  await shell.ask(t, `${ssh} -O exit 10.0.0.5`)
  t.equal((await shell.run('curl -sS http://127.0.0.1:8080/')).status, 7, 'refused')

  for (const program of [sshd, site.program]) program.signal('SIGTERM')
  t.match(await sshd.ends(), { status: 0 })
  t.match(await site.program.ends(), { status: 0 })
  await shell.exit(t)
  await nothingLeft(t, env)
})

t.test(
  'an unprivileged user’s sshd, on port 22',
  { skip: process.getuid!() !== 0 && 'the other tests run as such a user' },
  async t => {
    const uid = 5
    const env = runtime(t)
    await execute('chown', [`${uid}:${uid}`, env.XDG_RUNTIME_DIR!])
    const lines = ['Subsystem sftp internal-sftp', 'ForceCommand internal-sftp']
    const options = { uid, user: 'games', lines }
    const { dir, program: sshd, config } = await serveSsh(t, env, options)
    const sum = makeFile(join(dir, 'file'), SIZE)
    const games = ['--reuid', `${uid}`, '--regid', `${uid}`, '--clear-groups', '--']
    const sftp = ['sftp', '-q', '-F', config, '-b', '-', '10.0.0.5']
    const got = await execute('setpriv', [...games, IOTH_RUN, '--ip', '10.0.0.6', ...sftp], {
      env,
      cwd: '/',
      input: `put ${dir}/file ${dir}/put\nget ${dir}/put ${dir}/got\n`,
    })
    t.match(got, { status: 0, stderr: '' })
    for (const name of ['put', 'got']) t.equal(sha256(join(dir, name)), sum, name)
    sshd.signal('SIGTERM')
    t.match(await sshd.ends(), { status: 0 })
    await nothingLeft(t, env)
  },
)
