// wget against nginx.
import { readFileSync, truncateSync, copyFileSync } from 'node:fs'
import { join } from 'node:path'

import t from 'tap'

import { scratch, sha256 } from '../helpers/content.ts'
import { iothRun, runtime } from '../helpers/ioth-run.ts'
import { PAGE, serveSite } from '../helpers/nginx.ts'

const env = runtime(t)
const nginx = await serveSite(t, env, { workers: 1 })
const sum = nginx.file('file', 3_000_000)
const URL = 'http://10.0.0.5'
const wget = (...words: string[]) => iothRun(['--ip', '10.0.0.6', 'wget', ...words], { env })

t.test('a page on standard output', async t => {
  t.match(await wget('-q', '-O', '-', `${URL}/`), { status: 0, stdout: PAGE, stderr: '' })
})

t.test('says what it does', async t => {
  const { status, stderr } = await wget('-O', '/dev/null', `${URL}/file`)
  t.equal(status, 0)
  t.match(stderr, /Connecting to 10\.0\.0\.5:80\.\.\. connected\.[^]*Length: 3000000 \(2\.9M\)/)
  t.match(stderr, /saved \[3000000\/3000000\]/)
})

t.test('-c goes on where it broke off', async t => {
  const dir = scratch(t)
  copyFileSync(join(nginx.dir, 'www/file'), `${dir}/file`)
  truncateSync(`${dir}/file`, 1_234_567)
  const { status, stderr } = await wget('-c', '-P', dir, `${URL}/file`)
  t.equal(status, 0)
  t.match(stderr, /206 Partial Content/)
  t.equal(sha256(`${dir}/file`), sum)
})

t.test('several files on one connection', async t => {
  const dir = scratch(t)
  const { status, stderr } = await wget('-P', dir, `${URL}/file`, `${URL}/index.html`, `${URL}/who`)
  t.equal(status, 0)
  t.equal(stderr.match(/Reusing existing connection to 10\.0\.0\.5:80/g)?.length, 2)
  t.equal(sha256(`${dir}/file`), sum)
  t.equal(readFileSync(`${dir}/index.html`, 'utf8'), PAGE)
})

t.test('--post-file and what nginx thinks of it', async t => {
  const post = ['--post-file', join(nginx.dir, 'www/file'), '-O', '-']
  const { status, stderr } = await wget(...post, `${URL}/file`)
  t.equal(status, 8)
  t.match(stderr, /405 Not Allowed/)
})

t.test('failures are wget’s own', async t => {
  const once = ['-t', '1', '-O', '-']
  const refused = await wget(...once, `${URL}:81/`)
  t.match(refused, { status: 4, stderr: /failed: Connection refused\./ })
  t.match(await wget(...once, 'http://10.0.0.99/'), {
    status: 4,
    stderr: /failed: No route to host\./,
  })
  t.match(await wget(...once, `${URL}/missing`), { status: 8, stderr: /ERROR 404: Not Found/ })
})
