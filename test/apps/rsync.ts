// rsync: a daemon and a client, both ways; what is there already is not sent again.
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'

import t from 'tap'

import { makeFile, scratch, sha256 } from '../helpers/content.ts'
import { runtime } from '../helpers/ioth-run.ts'
import { iothStart, until } from '../helpers/program.ts'
import { Shell } from '../helpers/shell.ts'
import { nothingLeft, stackServerOf } from '../helpers/stack-server.ts'

/** Each file below `dir` with its SHA-256. */
function contents(dir: string): Record<string, string> {
  const files = readdirSync(dir, { recursive: true, encoding: 'utf8' }).sort()
  const isFile = (name: string) => statSync(join(dir, name)).isFile()
  return Object.fromEntries(files.filter(isFile).map(name => [name, sha256(join(dir, name))]))
}

t.test('rsync --daemon: both ways, changes only, --delete, a limit, a password', async t => {
  const env = runtime(t)
  const dir = scratch(t)
  const [from, module, back] = ['from', 'module', 'back'].map(name => join(dir, name))
  for (const name of [from, module, back]) mkdirSync(name!)
  mkdirSync(join(from!, 'many/deep'), { recursive: true })
  for (let i = 0; i < 300; i++) writeFileSync(join(from!, `many/${i}`), `${i}\n`.repeat(i))
  makeFile(join(from!, 'large'), 8_000_000)
  makeFile(join(from!, 'many/deep/file'), 100_000)
  symlinkSync('large', join(from!, 'link'))
  writeFileSync(join(dir, 'secrets'), 'someone:word\n', { mode: 0o600 })
  const asRoot = process.getuid!() === 0 ? 'uid = 0\ngid = 0' : ''
  const files = `path = ${module}\nread only = no`
  writeFileSync(
    join(dir, 'conf'),
    `use chroot = no
munge symlinks = no
${asRoot}
[files]
${files}
[closed]
${files}
auth users = someone
secrets file = ${dir}/secrets
[chroot]
${files}
use chroot = ${asRoot === '' ? 'no' : 'yes'}
`,
  )
  const options = ['--daemon', '--no-detach', `--config=${dir}/conf`, `--log-file=${dir}/log`]
  // A socket for standard input would be a connection, from inetd.
  const words = ['--ip', '10.0.0.5', 'rsync', ...options]
  const daemon = iothStart(t, words, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const log = () => (existsSync(join(dir, 'log')) ? readFileSync(join(dir, 'log'), 'utf8') : '')
  await until('rsync to listen', 20_000, () => {
    if (daemon.over) throw new Error(daemon.stderr)
    return / starting, listening on port 873/.test(log())
  })
  await stackServerOf(env, daemon.pid)
  const shell = new Shell(t, env, '--ip', '10.0.0.6')
  const rsync = (words: string) => shell.ask(t, `rsync ${words}`)

  t.match(await rsync('rsync://10.0.0.5/'), /^files\s+closed\s+chroot$/)
  await rsync(`-a ${from}/ rsync://10.0.0.5/files/`)
  t.match(log(), /connect from .*\(10\.0\.0\.6\)/)
  t.same(contents(module!), contents(from!))
  await rsync(`-az rsync://10.0.0.5/files/ ${back}/`)
  t.same(contents(back!), contents(from!))
  const idle = await rsync(`-ai --stats ${from}/ rsync://10.0.0.5/files/`)
  t.notMatch(idle, /^[<>c]/m, 'nothing to do')
  t.match(idle, /Number of regular files transferred: 0/)

  // Some bytes in the middle of the large one: the rest of it stays here.
  const patched = `printf changed | dd of=${from}/large bs=1 seek=4000000 conv=notrunc status=none`
  await shell.ask(t, patched)
  rmSync(join(from!, 'many/7'))
  writeFileSync(join(from!, 'new'), 'new\n')
  const changes = await rsync(`-aci --delete --no-W --stats ${from}/ rsync://10.0.0.5/chroot/`)
  const lines = changes
    .split('\n')
    .filter(line => /^[*<>]/.test(line))
    .map(line => line.slice(0, 2) + line.split(' ').at(-1))
  t.same(lines.sort(), ['*dmany/7', '<flarge', '<fnew'])
  const literal = Number(/Literal data: ([\d,]+)/.exec(changes)![1]!.replaceAll(',', ''))
  t.ok(literal < 20_000, `${literal} bytes of 8,000,000 were sent`)
  t.same(contents(module!), contents(from!))

  const started = performance.now()
  await rsync(`-a --bwlimit=2m --ignore-times ${from}/many/deep rsync://10.0.0.5/files/limited`)
  t.ok(performance.now() - started < 20_000)
  const url = `rsync://someone@10.0.0.5/closed/`
  t.match(await shell.run(`RSYNC_PASSWORD=wrong rsync ${url}`), { status: 5, text: /auth failed/ })
  t.match(await shell.ask(t, `RSYNC_PASSWORD=word rsync ${url}`), /8,000,000 .* large/)
  daemon.signal('SIGTERM')
  t.match(await daemon.ends(), { status: 0, stderr: '' })
  await shell.exit(t)
  await nothingLeft(t, env)
})
