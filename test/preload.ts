// The shim's C unit programs: each is built with the shim's own sources and prints TAP. Where its first
// comment says so ("/* cc: -fsanitize=thread ring.c */"), it is built with those flags and those files of
// preload/ only.
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { promisify } from 'node:util'

import t from 'tap'

import { root } from './helpers/ioth-run.ts'

const here = `${root}/test/preload`
const preload = `${root}/preload`
const out = `${root}/build/test/preload`
const programs = new Set(['launch.c', 'undertaker.c'])
const shim = readdirSync(preload).filter(file => /\.[cS]$/.test(file) && !programs.has(file))
const tests = existsSync(here) ? readdirSync(here).filter(file => file.endsWith('.c')) : []
const flags = '-std=c11 -O1 -g -Wall -Wextra -Werror -D_GNU_SOURCE -pthread -fPIC'.split(' ')

mkdirSync(out, { recursive: true })
t.ok(tests.length > 0, 'there are programs to run')
t.jobs = 2
for (const test of tests) {
  const name = test.replace(/\.c$/, '')
  t.test(name, async t => {
    await build(name)
    await t.spawn(`${out}/${name}`, [], { timeout: 60_000 }, `${name} passes`)
  })
}

async function build(name: string): Promise<void> {
  const wish = /^\/\* cc: ([^]*?) \*\//.exec(readFileSync(`${here}/${name}.c`, 'utf8'))?.[1]
  const words = wish?.split(/[\s*]+/) ?? shim
  const isSource = (word: string) => /^[\w-]+\.[cS]$/.test(word)
  const files = words.filter(isSource).map(file => `${preload}/${file}`)
  const own = words.filter(word => !isSource(word))
  const args = [...flags, ...own, `-I${preload}`, `${here}/${name}.c`, ...files, '-ldl']
  await promisify(execFile)('gcc', [...args, '-o', `${out}/${name}`])
}
