// nginx, unmodified, with curl and wget, unmodified, each a node of its own.
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

import t from 'tap'

import { scratch, sha256 } from '../helpers/content.ts'
import { execute, IOTH_RUN, iothRun, runtime } from '../helpers/ioth-run.ts'
import { children, PAGE, serveSite, site } from '../helpers/nginx.ts'
import { iothStart, start, until } from '../helpers/program.ts'
import { nothingLeft, stackServerOf } from '../helpers/stack-server.ts'

const SIZES = [0, 1, 1459, 1460, 1461, 65_535, 65_536, 65_537, 1_000_000]
const URL = 'http://10.0.0.5'
const client = (...words: string[]) => ['--ip', '10.0.0.6', ...words]

t.test('pages, files and uploads', async t => {
  const env = runtime(t)
  const nginx = await serveSite(t, env)
  const stack = await stackServerOf(env, nginx.program.pid)
  const sums = new Map(SIZES.map(size => [String(size), nginx.file(String(size), size)]))
  sums.set('large', nginx.file('large', 100_000_000))

  await t.test('a page by wget, by curl', async t => {
    t.match(await iothRun(client('wget', '-q', '-O', '-', `${URL}/`), { env }), {
      status: 0,
      stdout: PAGE,
      stderr: '',
    })
    t.match(await iothRun(client('curl', '-sS', `${URL}/`), { env }), {
      status: 0,
      stdout: PAGE,
      stderr: '',
    })
    t.equal((await iothRun(client('curl', '-sS', '-f', `${URL}/missing`), { env })).status, 22)
  })

  await t.test('both ends know each other’s address', async t => {
    const write = '%{remote_ip}:%{remote_port} %{local_ip}'
    const { stdout } = await iothRun(client('curl', '-s', '-w', write, `${URL}/who`), { env })
    t.match(stdout, /^\d+ 10\.0\.0\.6 10\.0\.0\.5\n10\.0\.0\.5:80 10\.0\.0\.6$/)
  })

  for (const [way, path] of [
    ['sendfile', ''],
    ['write', 'copied/'],
  ] as const)
    await t.test(`files of ${SIZES.join(', ')} bytes by ${way}, on one connection`, async t => {
      const dir = scratch(t)
      const names = `{${SIZES.join(',')}}`
      const save = ['-o', `${dir}/#1`, '-w', '%{num_connects}\n']
      const words = client('curl', '-sS', ...save, `${URL}/${path}${names}`)
      const { status, stdout, stderr } = await iothRun(words, { env })
      t.match({ status, stderr }, { status: 0, stderr: '' })
      t.equal(stdout, ['1', ...SIZES.slice(1).map(() => '0'), ''].join('\n'), 'keep-alive')
      for (const size of SIZES)
        t.equal(sha256(join(dir, String(size))), sums.get(String(size)), `${size}`)
    })

  await t.test('100 MB by wget and by curl at the same time', async t => {
    const dir = scratch(t)
    const [byWget, byCurl] = await Promise.all([
      iothRun(client('wget', '-q', '-O', `${dir}/wget`, `${URL}/large`), { env }),
      iothRun(['--ip', '10.0.0.7', 'curl', '-sS', '-o', `${dir}/curl`, `${URL}/copied/large`], {
        env,
      }),
    ])
    t.match(byWget, { status: 0, stderr: '' })
    t.match(byCurl, { status: 0, stderr: '' })
    for (const name of ['wget', 'curl']) t.equal(sha256(join(dir, name)), sums.get('large'), name)
  })

  await t.test('uploads', async t => {
    const names = [...SIZES.map(String), 'large']
    const source = `${nginx.dir}/www/{${names.join(',')}}`
    const words = client('curl', '-sS', '-w', '%{http_code}\n', '-T', source, `${URL}/put/`)
    const { status, stdout } = await iothRun(words, { env })
    t.match({ status, stdout }, { status: 0, stdout: '201\n'.repeat(names.length) })
    for (const name of names) t.equal(sha256(join(nginx.dir, 'put', name)), sums.get(name), name)
  })

  await t.test('200 connections in parallel, both workers take part', async t => {
    const many = ['--parallel', '--parallel-immediate', '--parallel-max', '200']
    const save = ['-o', '/dev/null', '-w', '%{http_code} %{size_download} %{num_connects}\n']
    const words = client(
      'curl',
      '-sS',
      '--no-progress-meter',
      ...many,
      ...save,
      `${URL}/65537?[1-200]`,
    )
    const { status, stdout, stderr } = await iothRun(words, { env })
    t.match({ status, stderr }, { status: 0, stderr: '' })
    t.equal(stdout, '200 65537 1\n'.repeat(200))
    const workers = new Set(nginx.log('access').match(/^\d+/gm))
    t.equal(workers.size, 2)
  })

  await t.test(
    'reload under load: no request fails, old workers finish what they began',
    async t => {
      const dir = scratch(t)
      const pid = nginx.program.pid
      const before = children(pid)
      const slow = ['--limit-rate', '30M', '-o', `${dir}/slow`, `${URL}/large`]
      const held = iothRun(client('curl', '-sS', ...slow), { env })
      await until('the transfer to begin', 10_000, () => existsSync(`${dir}/slow`))
      const hot = [
        '--no-keepalive',
        '-o',
        '/dev/null',
        '-w',
        '%{http_code}\n',
        `${URL}/1461?[1-400]`,
      ]
      const requests = iothRun(
        ['--ip', '10.0.0.7', 'curl', '-sS', '-H', 'Connection: close', ...hot],
        {
          env,
        },
      )
      for (let i = 0; i < 3; i++) {
        const now = children(pid)
        process.kill(pid, 'SIGHUP')
        await until('new workers', 10_000, () => children(pid).some(child => !now.includes(child)))
      }
      const { status, stdout, stderr } = await requests
      t.match({ status, stderr }, { status: 0, stderr: '' })
      t.equal(stdout, '200\n'.repeat(400))
      t.match(await held, { status: 0, stderr: '' })
      t.equal(sha256(`${dir}/slow`), sums.get('large'))
      await until('the old workers to end', 10_000, () =>
        children(pid).every(child => !before.includes(child)),
      )
      t.notMatch(nginx.log('error'), /\[(alert|crit|emerg)\]/)
    },
  )

  await t.test('SIGQUIT: finishes what it began, then ends, and everything with it', async t => {
    const dir = scratch(t)
    const slow = ['--limit-rate', '50M', '-o', `${dir}/slow`, `${URL}/large`]
    const held = iothRun(client('curl', '-sS', ...slow), { env })
    await until('the transfer to begin', 10_000, () => existsSync(`${dir}/slow`))
    nginx.program.signal('SIGQUIT')
    t.match(await held, { status: 0, stderr: '' })
    t.equal(sha256(`${dir}/slow`), sums.get('large'))
    t.match(await nginx.program.ends(), { status: 0, stdout: '', stderr: '' })
    t.notMatch(nginx.log('error'), /\[(alert|crit|emerg)\]/)
    await nothingLeft(t, env)
    t.notOk(existsSync(stack.dir))
  })
})

t.test('a daemon: the shell gets its prompt back, the stack lives as long as nginx', async t => {
  const env = runtime(t)
  const daemon = site(t, { daemon: true })
  t.match(await iothRun(['--ip', '10.0.0.5', ...daemon.command], { env }), {
    status: 0,
    signal: null,
    stdout: '',
    stderr: '',
  })
  const pid = await daemon.ready()
  t.teardown(() => existsSync(`/proc/${pid}`) && process.kill(pid, 'SIGKILL'))
  const stack = await stackServerOf(env, pid)
  t.equal((await iothRun(client('curl', '-sS', `${URL}/`), { env })).stdout, PAGE)
  t.ok(existsSync(stack.dir))
  process.kill(pid, 'SIGQUIT')
  await nothingLeft(t, env)
  t.match(
    await iothRun(['--ip', '10.0.0.5', 'true'], { env }),
    { status: 0 },
    'the address is free',
  )
})

t.test('within one stack: loopback, its own address, IPv6', async t => {
  const env = runtime(t)
  const daemon = site(t, { daemon: true })
  const sum = daemon.file('file', 3_000_000)
  const quoted = daemon.command.map(word => `'${word}'`).join(' ')
  const urls = ['127.0.0.1', '10.0.0.5', '[::1]', '[::ffff:127.0.0.1]']
  const fetches = urls.map(
    (host, i) => `curl -gsS -w '%{http_code} ' -o ${daemon.dir}/got${i} http://${host}/file`,
  )
  // nginx's socket for [::] is for IPv6 only: the mapped address reaches the one for IPv4.
  const script = `${quoted} && ${fetches.join(' && ')}; kill -QUIT $(cat ${daemon.dir}/pid)`
  const { status, stdout, stderr } = await iothRun(['--ip', '10.0.0.5', 'sh', '-c', script], {
    env,
  })
  t.match({ status, stdout, stderr }, { status: 0, stdout: '200 200 200 200 ', stderr: '' })
  for (const i of urls.keys()) t.equal(sha256(join(daemon.dir, `got${i}`)), sum, urls[i])
  await nothingLeft(t, env)
})

t.test(
  'an unprivileged user: port 80, no rights',
  { skip: process.getuid!() !== 0 && 'the other tests run as such a user' },
  async t => {
    const uid = 65534
    const env = runtime(t)
    const nobody = ['--reuid', `${uid}`, '--regid', `${uid}`, '--clear-groups', '--']
    await execute('chown', [`${uid}:${uid}`, env.XDG_RUNTIME_DIR!])
    const s = site(t, { uid })
    const sum = s.file('file', 1_000_000)
    const program = start(t, 'setpriv', [...nobody, IOTH_RUN, '--ip', '10.0.0.5', ...s.command], {
      env,
      cwd: '/',
    })
    await s.ready()
    const dir = scratch(t)
    await execute('chown', [`${uid}:${uid}`, dir])
    const fetch = client('curl', '-sS', '-o', `${dir}/file`, `${URL}/file`)
    const got = await execute('setpriv', [...nobody, IOTH_RUN, ...fetch], { env, cwd: '/' })
    t.match(got, { status: 0, stderr: '' })
    t.equal(sha256(`${dir}/file`), sum)
    program.signal('SIGQUIT')
    t.match(await program.ends(), { status: 0 })
    await nothingLeft(t, env)
  },
)

t.test('a second nginx at the same address and port is refused as on Linux', async t => {
  const env = runtime(t)
  const first = site(t, { daemon: true })
  const second = site(t)
  const words = [first, second].map(s => s.command.map(word => `'${word}'`).join(' '))
  const script = `${words[0]} && ${words[1]}; echo $?; kill -QUIT $(cat ${first.dir}/pid)`
  const program = iothStart(t, ['--ip', '10.0.0.5', 'sh', '-c', script], { env })
  const { stdout } = await program.ends()
  t.equal(stdout, '1\n')
  t.match(second.log('error'), /bind\(\) to 0\.0\.0\.0:80 failed \(98: Address already in use\)/)
  t.notOk(readdirSync(second.dir).includes('pid'))
})
