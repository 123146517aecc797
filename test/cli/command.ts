import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'

import t from 'tap'

import { checkCommand } from '../../cli/command.ts'

const dir = t.testdir()
mkdirSync(`${dir}/a`)
mkdirSync(`${dir}/b`)
mkdirSync(`${dir}/a/folder`)
writeFileSync(`${dir}/a/plain`, '')
writeFileSync(`${dir}/b/tool`, '', { mode: 0o755 })
writeFileSync(`${dir}/a/both`, '')
writeFileSync(`${dir}/b/both`, '', { mode: 0o755 })
symlinkSync('nowhere', `${dir}/a/dangling`)
symlinkSync('loop', `${dir}/a/loop`)
const path = `${dir}/a:${dir}/none:${dir}/b`

for (const command of ['tool', 'both', `${dir}/b/tool`])
  t.doesNotThrow(() => checkCommand(command, path), `${command} runs`)
t.doesNotThrow(() => checkCommand('sh', undefined), 'no PATH: /bin:/usr/bin')

for (const [command, status, why] of [
  ['nothing', 127, 'no such command in PATH'],
  ['', 127, 'no such command in PATH'],
  ['dangling', 127, 'no such command in PATH'],
  [`${dir}/nothing`, 127, 'no such file'],
  [`${dir}/a/plain/x`, 127, 'no such file'],
  [`${dir}/a/loop`, 127, 'no such file'],
  [`${dir}/a/folder`, 126, 'it is a directory'],
  [`${dir}/a/plain`, 126, 'it may not be executed (chmod +x would do)'],
  ['plain', 126, 'it may not be executed (chmod +x would do)'],
] as const)
  t.throws(
    () => checkCommand(command, path),
    { status, message: `cannot run "${command}": ${why}` },
    `${command.replace(dir, '')} gives ${status}`,
  )
