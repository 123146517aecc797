// haproxy before two nginx: health checks, two threads, splicing, a reload that hands listeners to a new worker.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

import t from 'tap'

import { scratch, sha256 } from '../helpers/content.ts'
import { runtime } from '../helpers/ioth-run.ts'
import { serveSite } from '../helpers/nginx.ts'
import { iothStart } from '../helpers/program.ts'
import { Shell } from '../helpers/shell.ts'
import { nothingLeft, stackServerOf } from '../helpers/stack-server.ts'

const CONFIG = `
global
  nbthread 2
defaults
  mode http
  timeout connect 10s
  timeout client 60s
  timeout server 60s
frontend web
  bind :80
  default_backend nginxes
backend nginxes
  option httpchk GET /
  server one 10.0.0.5:80 check inter 200
  server two 10.0.0.6:80 check inter 200
listen raw
  mode tcp
  option splice-auto
  bind :81
  server one 10.0.0.5:80
`

t.test('haproxy spreads requests, passes files on, reloads, and notes who is down', async t => {
  const env = runtime(t)
  const [one, two] = [await serveSite(t, env), await serveSite(t, env, { ip: '10.0.0.6' })]
  const sum = one.file('file', 6_000_000)
  two.file('file', 6_000_000)
  const dir = scratch(t)
  writeFileSync(join(dir, 'config'), CONFIG)
  const words = ['exec "$@" 2>&1', 'sh', 'haproxy', '-W', '-db', '-f', join(dir, 'config')]
  const proxy = iothStart(t, ['--ip', '10.0.0.7', 'sh', '-c', ...words], { env })
  await proxy.says(/Loading success/)
  await stackServerOf(env, proxy.pid)
  const shell = new Shell(t, env, '--ip', '10.0.0.8')
  /** How many of 20 requests came to which server. */
  const spread = async () => {
    const urls = "-w '' 'http://10.0.0.7/who?[1-20]'"
    const lines = (await shell.ask(t, `curl -sS ${urls}`)).split('\n')
    t.equal(lines.length, 20)
    t.same([...new Set(lines.map(line => line.split(' ')[1]))], ['10.0.0.7'])
    return ['5', '6'].map(n => lines.filter(line => line.endsWith(` 10.0.0.${n}`)).length)
  }
  t.same(await spread(), [10, 10])

  for (const port of [80, 81]) {
    const parallel = `-Z --parallel-immediate -o ${dir}/got#1 'http://10.0.0.7:${port}/file?[1-4]'`
    await shell.ask(t, `curl -sS --no-progress-meter ${parallel}`)
    for (const n of [1, 2, 3, 4]) t.equal(sha256(`${dir}/got${n}`), sum, `by port ${port}`)
  }

  // The old worker ends what it began.
  const slow = ['curl', '-sS', '--limit-rate', '3M', '-o', `${dir}/slow`, 'http://10.0.0.7/file']
  const transfer = iothStart(t, ['--ip', '10.0.0.9', ...slow], { env })
  while (!(await shell.run(`test -s ${dir}/slow`).then(end => end.status === 0)));
  transfer.signal('SIGSTOP')
  proxy.signal('SIGUSR2')
  await proxy.says(/Loading success[^]*Loading success/)
  t.same(await spread(), [10, 10])
  transfer.signal('SIGCONT')
  t.equal(transfer.over, false, 'the transfer is still on its way')
  t.match(await transfer.ends(), { status: 0, stderr: '' })
  t.equal(sha256(`${dir}/slow`), sum)
  await proxy.says(/Former worker \(\d+\) exited with code 0/)

  two.program.signal('SIGTERM')
  t.match(await two.program.ends(), { status: 0 })
  await proxy.says(/nginxes\/two is DOWN/)
  t.same(await spread(), [20, 0])
  for (const program of [proxy, one.program]) {
    program.signal('SIGTERM')
    t.match(await program.ends(), { status: 0 })
  }
  await shell.exit(t)
  await nothingLeft(t, env)
})
