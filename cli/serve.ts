// All of ioth-stack. ioth-run gives it its options as one JSON argument. Writes one line of JSON to descriptor 3 when
// programs can be served, or why they cannot.
import { randomBytes } from 'node:crypto'
import { closeSync, writeSync } from 'node:fs'
import { basename } from 'node:path'
import type { Worker } from 'node:worker_threads'

import { UserError } from '../src/base/user-error.ts'
import * as libc from '../src/ffi/libc.ts'
import { Server } from '../src/server/server.ts'
import type { StackRequest } from './stack-server.ts'

const ANSWER = 3

/** `thread`: the stack thread, as yet without its data. */
export async function serve(thread: Worker): Promise<void> {
  process.on('uncaughtException', error => {
    writeSync(2, `${error.stack ?? String(error)}\n`)
    libc.exitNow(1)
  })

  const request = JSON.parse(process.argv[2] ?? '{}') as StackRequest
  const mac = request.settings.mac ?? randomMac()
  try {
    const server = new Server({
      net: request.net,
      settings: request.settings,
      mac,
      command: basename(request.command),
      parent: request.pid,
      faults: process.env.IOTH_FAULTS === '1',
      thread,
    })
    const ready = await server.start()
    answer({ ok: true, ...ready, mac })
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    if (!(error instanceof UserError)) writeSync(2, `${(error as Error).stack ?? message}\n`)
    answer({ ok: false, message, status: 125 })
    libc.exitNow(125)
  }
}

function answer(line: object): void {
  try {
    writeSync(ANSWER, JSON.stringify(line) + '\n')
  } catch (error) {
    // ioth-run is gone; the server sees that, too.
    if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error
  }
  closeSync(ANSWER)
}

/** A random one, locally administered, of one station (IEEE 802: bits 0 and 1 of the first byte). */
function randomMac(): string {
  const bytes = randomBytes(6)
  bytes[0] = (bytes[0] & 0xfc) | 2
  return [...bytes].map(b => b.toString(16).padStart(2, '0')).join(':')
}
