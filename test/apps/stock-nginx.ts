// Debian's nginx with Debian's configuration, as root, as in the first line of the README.
import { existsSync, readFileSync, readdirSync } from 'node:fs'

import t from 'tap'

import { iothRun, runtime } from '../helpers/ioth-run.ts'
import { children } from '../helpers/nginx.ts'
import { until } from '../helpers/program.ts'
import { nothingLeft, stackServerOf } from '../helpers/stack-server.ts'

const PID = '/run/nginx.pid'

t.test('ioth-run --ip 10.0.0.5 nginx', { skip: why() }, async t => {
  const env = runtime(t)
  t.match(await iothRun(['--ip', '10.0.0.5', 'nginx'], { env }), {
    status: 0,
    stdout: '',
    stderr: '',
  })
  const pid = await until('nginx to run', 10_000, () =>
    existsSync(PID) ? Number(readFileSync(PID, 'latin1')) : undefined,
  )
  t.teardown(() => alive(pid) && process.kill(pid, 'SIGKILL'))
  await until('its workers', 10_000, () => children(pid).length > 0)
  await stackServerOf(env, pid)

  await t.test('is Debian’s page, from a node of its own', async t => {
    const wget = ['--ip', '10.0.0.6', 'wget', '-q', '-S', '-O', '-', 'http://10.0.0.5/']
    const { status, stdout, stderr } = await iothRun(wget, { env })
    t.equal(status, 0)
    t.match(stderr, /HTTP\/1\.1 200 OK[^]*Server: nginx/)
    t.match(stdout, /<title>Welcome to nginx!|<title>Apache2 Debian Default Page/)
  })

  await t.test('and the host’s port 80 is free', async t => {
    t.notMatch(readFileSync('/proc/net/tcp', 'latin1'), / 00000000:0050 00000000:0000 0A/)
    t.notMatch(readFileSync('/proc/net/tcp6', 'latin1'), /0{32}:0050 0{32}:0000 0A/)
  })

  process.kill(pid, 'SIGQUIT')
  await until('nginx to end', 10_000, () => !alive(pid))
  await nothingLeft(t, env)
  t.notOk(existsSync(PID), 'its pid file is gone')
})

/** Why this cannot be tried on this machine. */
function why(): string | false {
  if (process.getuid!() !== 0) return 'needs root, as Debian’s configuration does'
  if (!existsSync('/etc/nginx/sites-enabled/default')) return 'there is no stock configuration'
  const names = readdirSync('/proc').filter(name => /^\d+$/.test(name))
  if (names.some(pid => nameOf(pid).includes('nginx: master') && usesStock(pid)))
    return 'another nginx runs with this configuration'
  return false
}

function usesStock(pid: string): boolean {
  return existsSync(PID) && readFileSync(PID, 'latin1').trim() === pid
}

function nameOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1')
  } catch {
    return ''
  }
}

function alive(pid: number): boolean {
  try {
    return !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'))
  } catch {
    return false
  }
}
