// git between two nodes, by its own daemon and by ssh: what is pushed from one and cloned by the other is the same.
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import t, { type Test } from 'tap'

import { makeFile, scratch, sha256 } from '../helpers/content.ts'
import { runtime } from '../helpers/ioth-run.ts'
import { iothStart, until } from '../helpers/program.ts'
import { Shell } from '../helpers/shell.ts'
import { serveSsh } from '../helpers/ssh.ts'
import { nothingLeft, stackServerOf } from '../helpers/stack-server.ts'

t.jobs = 2

/** No settings but these. */
const SETTINGS = {
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_AUTHOR_NAME: 'A',
  GIT_AUTHOR_EMAIL: 'a@example.org',
  GIT_COMMITTER_NAME: 'A',
  GIT_COMMITTER_EMAIL: 'a@example.org',
}

/** An empty repository and one with 200 files; git commands for the second. */
function repositories(t: Test, env: NodeJS.ProcessEnv) {
  const dir = scratch(t)
  const git = (...words: string[]) =>
    execFileSync('git', ['-C', join(dir, 'work'), ...words], { env, encoding: 'utf8' }).trim()
  mkdirSync(join(dir, 'work/many'), { recursive: true })
  git('init', '-q', '--initial-branch=main')
  git('init', '-q', '--bare', '--initial-branch=main', join(dir, 'shared.git'))
  for (let i = 0; i < 200; i++) writeFileSync(join(dir, `work/many/${i}`), `${i}\n`.repeat(i))
  const sum = makeFile(join(dir, 'work/large'), 3_000_000)
  git('add', '.')
  git('commit', '-q', '-m', 'first')
  return { dir, git, sum }
}

/** Pushes, clones, changes, pushes, fetches: both sides have the same, and it is sound. */
async function exchange(
  t: Test,
  shell: Shell,
  repository: ReturnType<typeof repositories>,
  url: string,
) {
  const { dir, git, sum } = repository
  const run = (where: string, words: string) => shell.ask(t, `git -C ${dir}/${where} ${words}`)
  await run('work', `push -q ${url} main`)
  await run('.', `clone -q ${url} clone`)
  t.equal(sha256(join(dir, 'clone/large')), sum)
  t.equal(await run('clone', 'rev-parse HEAD^{tree}'), git('rev-parse', 'HEAD^{tree}'))
  await run('clone', 'rm -q many/7')
  await run('clone', 'commit -q -m second')
  await run('clone', 'push -q origin main')
  await run('work', `pull -q ${url} main`)
  t.equal(await run('clone', 'rev-parse HEAD'), git('rev-parse', 'HEAD'))
  t.equal(await run('shared.git', 'fsck --no-progress'), '')
  await run('.', `clone -q --depth 1 ${url} shallow`)
  t.equal(await run('shallow', 'rev-list --count HEAD'), '1')
  const refused = await shell.run(`git -C ${dir}/work push -q ${url} main~1:main`)
  t.match(refused, { status: 1, text: /rejected.*non-fast-forward/ })
}

t.test('git daemon', async t => {
  const env = { ...runtime(t), ...SETTINGS }
  const repository = repositories(t, env)
  const options = ['--export-all', '--enable=receive-pack', '--verbose', '--reuseaddr']
  const base = `--base-path=${repository.dir}`
  const words = ['--ip', '10.0.0.5', '--ip', 'fd00::5', 'git', 'daemon', ...options, base]
  const daemon = iothStart(t, words, { env })
  await until('git daemon', 20_000, () => {
    if (daemon.over) throw new Error(daemon.stderr)
    return daemon.stderr.includes('Ready to rumble')
  })
  await stackServerOf(env, daemon.pid)
  const shell = new Shell(t, env, '--ip', '10.0.0.6', '--ip', 'fd00::6')
  await exchange(t, shell, repository, 'git://10.0.0.5/shared.git')
  t.match(daemon.stderr, /Connection from 10\.0\.0\.6:\d+\n/)
  const six = await shell.ask(t, 'git ls-remote git://[fd00::5]/shared.git main')
  t.match(six, repository.git('rev-parse', 'HEAD'))
  t.match(daemon.stderr, /Connection from \[fd00::6\]:\d+\n/)
  t.equal((await shell.run('git ls-remote git://10.0.0.5/missing')).status, 128)
  daemon.signal('SIGTERM')
  await daemon.ends()
  await shell.exit(t)
  await nothingLeft(t, env)
})

t.test('ssh', async t => {
  const env: NodeJS.ProcessEnv = { ...runtime(t), ...SETTINGS }
  const repository = repositories(t, env)
  const { program: sshd, config } = await serveSsh(t, env)
  env.GIT_SSH_COMMAND = `ssh -F ${config}`
  const shell = new Shell(t, env, '--ip', '10.0.0.6')
  await exchange(t, shell, repository, `ssh://10.0.0.5${repository.dir}/shared.git`)
  sshd.signal('SIGTERM')
  t.match(await sshd.ends(), { status: 0 })
  await shell.exit(t)
  await nothingLeft(t, env)
})
