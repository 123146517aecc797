// nginx with TLS and HTTP/2, and the binary exchanged while it serves; curl, openssl s_client.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import t from 'tap'

import { scratch, sha256 } from '../helpers/content.ts'
import { iothRun, runtime } from '../helpers/ioth-run.ts'
import { children, PAGE, serveSite, site } from '../helpers/nginx.ts'
import { iothStart, until } from '../helpers/program.ts'
import { Shell } from '../helpers/shell.ts'
import { nothingLeft, stackServerOf } from '../helpers/stack-server.ts'

t.jobs = 2

const SIZE = 10_000_000

t.test('TLS and HTTP/2: by address and name, in parallel, parts, uploads', async t => {
  const env = runtime(t)
  const nginx = await serveSite(t, env, { ip6: 'fd00::5', tls: true })
  await stackServerOf(env, nginx.program.pid)
  const sum = nginx.file('file', SIZE)
  const small = nginx.file('small', 40_000)
  const dir = scratch(t)
  const shell = new Shell(t, env, '--ip', '10.0.0.6', '--ip', 'fd00::6')
  const curl = (words: string) =>
    shell.ask(t, `curl -sS --no-progress-meter --cacert ${nginx.certificate} ${words}`)

  const six = '--resolve www.lab:443:[fd00::5]'
  for (const [words, from, to] of [
    ['https://10.0.0.5/who', '10.0.0.6', '10.0.0.5'],
    ['-g https://[fd00::5]/who', 'fd00::6', 'fd00::5'],
    [`${six} https://www.lab/who`, 'fd00::6', 'fd00::5'],
    [`--interface fd00::6 ${six} https://www.lab/who`, 'fd00::6', 'fd00::5'],
    ['--resolve www.lab:443:10.0.0.5 https://www.lab/who', '10.0.0.6', '10.0.0.5'],
    ['--tls-max 1.2 --http1.1 https://10.0.0.5/who', '10.0.0.6', '10.0.0.5'],
  ] as const)
    t.match(await curl(words), new RegExp(`^\\d+ ${from} ${to}$`), words)
  t.match(await shell.run('curl -sS https://10.0.0.5/'), { status: 60 }, 'nobody vouches for it')

  const write = `-w '%{http_version} %{size_download} %{num_connects}\\n'`
  for (const version of ['1.1', '2']) {
    const save = `-Z --http${version} -o ${dir}/got#1`
    await curl(`${save} 'https://10.0.0.5/file?[1-4]'`)
    for (const n of [1, 2, 3, 4]) t.equal(sha256(`${dir}/got${n}`), sum, `HTTP/${version}`)
  }
  const many = await curl(`-Z --http2 ${write} -o '${dir}/#1' 'https://10.0.0.5/small?[1-100]'`)
  const lines = many.split('\n')
  t.same(new Set(lines.map(line => line.slice(0, 7))), new Set(['2 40000']))
  t.equal(lines.length, 100)
  const connections = lines.filter(line => line.endsWith(' 1')).length
  t.ok(connections < 50, `${connections} connections for 100 requests: streams of HTTP/2`)
  for (const n of [1, 50, 100]) t.equal(sha256(`${dir}/${n}`), small)

  await curl(`-r 0-4999999 -o ${dir}/part https://10.0.0.5/file`)
  const resumed = await curl(
    `-C - -w '%{http_code} %{size_download}' -o ${dir}/part https://10.0.0.5/file`,
  )
  t.equal(resumed, '206 5000000')
  t.equal(sha256(`${dir}/part`), sum, 'resumed')
  const put = `-T ${dir}/part -w '%{http_code} %{http_version}' https://10.0.0.5/put/put`
  t.equal(await curl(put), '201 2')
  t.equal(sha256(join(nginx.dir, 'put/put')), sum, 'uploaded')

  const client = `openssl s_client -quiet -CAfile ${nginx.certificate} -verify_return_error`
  const request = 'GET / HTTP/1.1\r\nHost: www.lab\r\nConnection: close\r\n\r\n'
  const text = await shell.ask(t, `${client} -connect 10.0.0.5:443 2>/dev/null`, request)
  t.match(text, new RegExp(`^HTTP/1.1 200 OK\r\n[^]*\r\n\r\n${PAGE.trim()}$`))
  const session = `${client} -reconnect -no_ign_eof -tls1_2 -connect [fd00::5]:443 </dev/null`
  t.match(await shell.ask(t, session.replace('-quiet ', '')), /(Reused, TLSv1\.2[^]*){5}/)

  nginx.program.signal('SIGQUIT')
  t.match(await nginx.program.ends(), { status: 0, stdout: '', stderr: '' })
  await shell.exit(t)
  t.notMatch(nginx.log('error'), /\[(alert|crit|emerg)\]/)
  await nothingLeft(t, env)
})

t.test('SIGUSR2, SIGWINCH, SIGQUIT: another binary takes over, and no request fails', async t => {
  const env = runtime(t)
  const s = site(t, { daemon: true, tls: true })
  const sum = s.file('large', 60_000_000)
  s.file('small', 1461)
  t.match(await iothRun(['--ip', '10.0.0.5', ...s.command], { env }), { status: 0, stderr: '' })
  const pid = await s.ready()
  await stackServerOf(env, pid)
  const master = (name: 'pid' | 'pid.oldbin') =>
    existsSync(join(s.dir, name)) ? Number(readFileSync(join(s.dir, name), 'latin1')) : 0
  t.teardown(() => {
    const left = [master('pid'), master('pid.oldbin')].filter(Boolean)
    // A worker outlives a master that is killed.
    for (const one of left.flatMap(one => [one, ...children(one)])) process.kill(one, 'SIGKILL')
  })
  const dir = scratch(t)
  const curl = ['curl', '-sS', '--cacert', s.certificate]
  // So slowly that it is not over before it is stopped.
  const slow = ['--limit-rate', '30M', '-o', `${dir}/slow`, 'https://10.0.0.5/large']
  const held = iothStart(t, ['--ip', '10.0.0.6', ...curl, ...slow], { env })
  await until('the transfer to begin', 10_000, () => existsSync(`${dir}/slow`))
  held.signal('SIGSTOP')
  const load = ['https', 'http'].map((scheme, i) => {
    const hot = [
      '-H',
      'Connection: close',
      '--http1.1',
      '-o',
      '/dev/null',
      '-w',
      '%{stderr}%{http_code}\n',
    ]
    const words = [...curl, ...hot, `${scheme}://10.0.0.5/small?[1-100000]`]
    return iothStart(t, ['--ip', `10.0.0.${7 + i}`, ...words], { env })
  })
  // Not on standard output, which is written by the block.
  const answers = () => load.map(program => program.stderr.length / 4)
  const more = async (n: number) => {
    const before = answers()
    await until('more requests', 20_000, () => answers().every((now, i) => now >= before[i]! + n))
  }
  await more(20)

  process.kill(pid, 'SIGUSR2')
  await until('the new master', 10_000, () => existsSync(join(s.dir, 'pid.oldbin')))
  const successor = await until('the new workers', 10_000, () => {
    const now = master('pid')
    return now > 0 && now !== pid && children(now).length >= 2 && now
  })
  await more(20)
  const old = children(pid).filter(child => child !== successor)
  process.kill(pid, 'SIGWINCH')
  await more(20)
  t.ok(
    old.some(child => children(pid).includes(child)),
    'an old worker has a transfer to end',
  )
  held.signal('SIGCONT')
  t.match(await held.ends(), { status: 0, stderr: '' })
  t.equal(sha256(`${dir}/slow`), sum)
  await until(
    'the old workers to end',
    10_000,
    () => !old.some(child => children(pid).includes(child)),
  )
  process.kill(pid, 'SIGQUIT')
  await until('the old master to end', 10_000, () => !existsSync(join(s.dir, 'pid.oldbin')))
  await more(20)
  for (const program of load) {
    program.signal('SIGINT')
    const { stderr } = await program.ends()
    t.same(new Set(stderr.trim().split('\n')), new Set(['200']))
  }
  process.kill(successor, 'SIGQUIT')
  await nothingLeft(t, env)
  t.notMatch(s.log('error'), /\[(alert|crit|emerg)\]/)
})
