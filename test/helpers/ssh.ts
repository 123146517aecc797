// sshd with keys, known hosts and a configuration of the test's own.
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'

import type { Test } from 'tap'

import { start, until, type Program } from './program.ts'
import { IOTH_RUN } from './ioth-run.ts'
import { stackServerOf } from './stack-server.ts'

/** Where sshd shuts its children in; Debian's init makes it. */
const PRIVILEGE_SEPARATION = '/run/sshd'
const SSHD = '/usr/sbin/sshd'

export interface SshServer {
  readonly dir: string
  readonly program: Program
  /** For `ssh -F`: this server's key, the user's key, nobody else's. */
  readonly config: string
}

export interface SshOptions {
  ip?: string
  /** Who sshd and its users are, unless the test's own. */
  uid?: number
  user?: string
  /** Lines for sshd_config. */
  lines?: string[]
}

/** sshd at `ip`, listening. */
export async function serveSsh(
  t: Test,
  env: NodeJS.ProcessEnv,
  { ip = '10.0.0.5', uid, user = userInfo().username, lines = [] }: SshOptions = {},
): Promise<SshServer> {
  const dir = mkdtempSync(join(tmpdir(), 'ioth-ssh-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }))
  if (process.geteuid!() === 0) mkdirSync(PRIVILEGE_SEPARATION, { recursive: true, mode: 0o755 })
  for (const name of ['host', 'key'])
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(dir, name)])
  const publicKey = (name: string) => readFileSync(join(dir, `${name}.pub`), 'utf8')
  const write = (name: string, ...text: string[]) => {
    writeFileSync(join(dir, name), text.join('\n') + '\n')
    return join(dir, name)
  }
  write('known', `${ip} ${publicKey('host')}`)
  const serverConfig = write(
    'sshd_config',
    `HostKey ${dir}/host`,
    `AuthorizedKeysFile ${dir}/key.pub`,
    // The directory for temporary files is everybody's.
    'StrictModes no',
    'UsePAM no',
    'PidFile none',
    'PermitRootLogin yes',
    'PasswordAuthentication no',
    ...lines,
  )
  const config = write(
    'ssh_config',
    'Host *',
    `User ${user}`,
    `IdentityFile ${dir}/key`,
    'IdentitiesOnly yes',
    'IdentityAgent none',
    'BatchMode yes',
    'StrictHostKeyChecking yes',
    `UserKnownHostsFile ${dir}/known`,
    'GlobalKnownHostsFile none',
    'LogLevel ERROR',
  )
  const ioth = [IOTH_RUN, '--ip', ip, SSHD, '-D', '-e', '-f', serverConfig]
  if (uid !== undefined) {
    for (const name of ['', 'host', 'key']) chownSync(join(dir, name), uid, uid)
    chmodSync(dir, 0o755)
    ioth.unshift('setpriv', '--reuid', `${uid}`, '--regid', `${uid}`, '--clear-groups', '--')
  }
  const program = start(t, ioth[0]!, ioth.slice(1), { env, cwd: '/' })
  await until('sshd to listen', 20_000, () => {
    if (program.over) throw new Error(`sshd did not start: ${program.stderr}`)
    return program.stderr.includes('Server listening on 0.0.0.0 port 22')
  })
  await stackServerOf(env, program.pid)
  return { dir, program, config }
}
