// A program that writes random words over its stack's shared memory hurts only itself.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import type { Test } from 'tap'

import * as layout from '../../src/shm/layout.ts'
import { scratch } from './content.ts'
import { root, runtime } from './ioth-run.ts'
import { iothStart } from './program.ts'
import { ctl, nothingLeft, stackServerOf } from './stack-server.ts'
import { transfer } from './transfer.ts'

/** For `ms`, beside a transfer between two others on the same network. Its own stack server has to live and answer. */
export async function scribble(t: Test, seed: number, ms: number, megabytes: number) {
  const env = runtime(t)
  const program = join(scratch(t), 'scribble')
  const flags = ['-std=c11', '-Wall', '-Wextra', '-Werror', '-D_GNU_SOURCE', '-O2']
  execFileSync('cc', [...flags, join(root, 'test/fixtures/scribble.c'), '-o', program])
  const moving = await transfer(t, env, megabytes)
  const scribbler = iothStart(t, ['--ip', '10.0.0.9', program, `${seed}`, `${ms}`], { env })
  await scribbler.says(/scribbling/)
  const stack = await stackServerOf(env, scribbler.pid)
  let asked = 0
  let log = ''
  while (!/enough/.test(scribbler.stdout) && !scribbler.over) {
    const answer = ctl(stack, layout.CTL_SLOT, 0)
    log = read(join(stack.dir, 'log')) || log
    if (answer < 0) t.fail(`the server is gone or does not answer (${answer}):\n${log}`)
    if (answer < 0) break
    asked++
    await delay(100)
  }
  t.ok(asked > 0, `it answered ${asked} times`)
  scribbler.child.stdin!.end()
  t.match(await scribbler.ends(20_000), { status: 0, stdout: 'scribbling\nenough\n' })
  t.notMatch(log, /does not answer/, 'the stack thread does not hang')
  t.comment(`replaced ${log.match(/^stack thread: /gm)?.length ?? 0} times\n${log}`)
  await moving.whole(t)
  await nothingLeft(t, env, 70_000)
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}
