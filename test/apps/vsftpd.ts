// vsftpd with all that it does to be safe: a child for each session without address space, network, rights or root
// directory, to which another passes data connections; curl as a client, passive and active.
import { chmodSync, chownSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import t from 'tap'

import { makeFile, scratch, sha256 } from '../helpers/content.ts'
import { execute, runtime } from '../helpers/ioth-run.ts'
import { iothStart } from '../helpers/program.ts'
import { Shell } from '../helpers/shell.ts'
import { nothingLeft, stackServerOf } from '../helpers/stack-server.ts'

const SIZE = 10_000_000
const EMPTY = '/run/vsftpd/empty'
const asRoot = process.getuid!() === 0

t.test('vsftpd: passive, active, IPv6, uploads', { skip: !asRoot && 'needs root' }, async t => {
  const env = runtime(t)
  const dir = scratch(t)
  const [root, uploads] = [join(dir, 'root'), join(dir, 'root/uploads')]
  mkdirSync(uploads, { recursive: true })
  mkdirSync(EMPTY, { recursive: true })
  const uid = Number((await execute('id', ['-u', 'ftp'])).stdout)
  chownSync(uploads, uid, uid)
  for (const path of [dir, root]) chmodSync(path, 0o755)
  const sum = makeFile(join(root, 'file'), SIZE)
  const options = [
    ...[
      'listen_ipv6',
      'anonymous_enable',
      'write_enable',
      'anon_upload_enable',
      'no_anon_password',
    ],
    ...['connect_from_port_20', 'dual_log_enable', 'xferlog_enable'],
  ]
  const values = [
    ...['listen=NO', 'background=NO', `anon_root=${root}`, 'anon_umask=022'],
    ...[`vsftpd_log_file=${dir}/log`, `xferlog_file=${dir}/transfers`],
    `secure_chroot_dir=${EMPTY}`,
  ]
  const lines = [...options.map(option => `${option}=YES`), ...values]
  writeFileSync(join(dir, 'conf'), lines.join('\n') + '\n')
  const addresses = ['--ip', '10.0.0.5', '--ip', 'fd00::5']
  const server = iothStart(t, [...addresses, 'vsftpd', join(dir, 'conf')], { env })
  await stackServerOf(env, server.pid)
  const shell = new Shell(t, env, '--ip', '10.0.0.6', '--ip', 'fd00::6')
  // The first try may come before it listens.
  const curl = (words: string) =>
    shell.ask(t, `curl -gsS --retry-connrefused --retry 50 --retry-delay 0 ${words}`)

  const host = 'ftp://10.0.0.5'
  for (const [way, words] of [
    ['passive', `${host}/file`],
    ['PASV', `--disable-epsv ${host}/file`],
    ['active', `--ftp-port - ${host}/file`],
    ['PORT', `--ftp-port - --disable-eprt ${host}/file`],
    ['IPv6', 'ftp://[fd00::5]/file'],
    ['IPv6, active', '--ftp-port - ftp://[fd00::5]/file'],
  ] as const) {
    await curl(`-o ${dir}/got ${words}`)
    t.equal(sha256(join(dir, 'got')), sum, way)
  }
  const part = await curl(`-r 100-199 ${host}/file | wc -c`)
  t.equal(part, '100')
  const listing = await curl(`${host}/ ${host}/uploads/`)
  t.match(listing, new RegExp(`^-rw.* ${SIZE} .* file\ndrwx.* uploads$`))
  await curl(`-T ${root}/file ${host}/uploads/one`)
  await curl(`--ftp-port - -T ${root}/file ${host}/uploads/two`)
  for (const name of ['one', 'two']) t.equal(sha256(join(uploads, name)), sum, name)
  t.equal((await shell.run(`curl -sS ${host}/missing`)).status, 78)
  const many = `for i in 1 2 3 4 5 6; do curl -sS ${host}/file | sha256sum & done; wait`
  t.equal(await shell.ask(t, many), Array(6).fill(`${sum}  -`).join('\n'), 'six at once')

  server.signal('SIGTERM')
  t.match(await server.ends(), { signal: 'SIGTERM', stdout: '', stderr: '' })
  await shell.exit(t)
  await nothingLeft(t, env)
})
