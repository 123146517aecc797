#!/usr/bin/env node
// ioth-stack: the stack server, started by ioth-run with its options as one JSON argument. Writes one line of JSON to
// descriptor 3 when programs can be served, or why they cannot.
import { randomBytes } from 'node:crypto'
import { closeSync, writeSync } from 'node:fs'
import { basename } from 'node:path'

import { UserError } from '../src/base/user-error.ts'
import * as libc from '../src/ffi/libc.ts'
import { Server } from '../src/server/server.ts'
import type { StackRequest } from './stack-server.ts'

const ANSWER = 3

function answer(line: object): void {
  writeSync(ANSWER, JSON.stringify(line) + '\n')
  closeSync(ANSWER)
}

/** A random one, locally administered, of one station (IEEE 802: bits 0 and 1 of the first byte). */
function randomMac(): string {
  const bytes = randomBytes(6)
  bytes[0] = (bytes[0] & 0xfc) | 2
  return [...bytes].map(b => b.toString(16).padStart(2, '0')).join(':')
}

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
  })
  const ready = await server.start()
  answer({ ok: true, ...ready, mac })
} catch (error) {
  const message = error instanceof Error ? error.message : String(error)
  if (!(error instanceof UserError)) writeSync(2, `${(error as Error).stack ?? message}\n`)
  answer({ ok: false, message, status: 125 })
  libc.exitNow(125)
}
