import { readFileSync } from 'node:fs'

import t from 'tap'

import { iothRun, root, runtime } from '../helpers/ioth-run.ts'

const env = runtime(t)

t.test('--help prints the options on standard output', async t => {
  const { status, stdout, stderr } = await iothRun(['--help'], { env })
  t.match({ status, stderr }, { status: 0, stderr: '' })
  t.match(stdout, /^usage: ioth-run /)
  for (const option of ['ip', 'mac', 'net', 'gateway', 'verbose', 'version', 'help'])
    t.match(stdout, `--${option}`)
})

t.test('--version prints the version of package.json', async t => {
  const { version } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8')) as {
    version: string
  }
  t.match(await iothRun(['--version'], { env }), { status: 0, stdout: `ioth ${version}\n` })
})
