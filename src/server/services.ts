// Calls of programs that are about no socket: names, files that are shown.
import { readFileSync } from 'node:fs'

import { EOPNOTSUPP } from '../base/errno.ts'
import type { Obtained } from '../conf/configuration.ts'
import { OP_INTERFACES, OP_REST, OP_SHOW } from '../shm/layout.ts'
import type { Call, Calls } from '../sockets/calls.ts'
import { LongAnswers } from '../sockets/long-answers.ts'
import type { Services } from '../sockets/sockets.ts'
import type { Stack } from '../stack/stack.ts'
import { procFiles } from '../view/proc-net.ts'
import { socketFiles } from '../view/proc-sockets.ts'
import { procUnix } from '../view/proc-unix.ts'
import type { SocketView } from '../view/sockets.ts'
import { interfacesOf } from './interfaces.ts'
import { NameService } from './name-service.ts'
import type { SysTree } from './sys-tree.ts'

/** A file's text as it is now (ms of the stack's clock); undefined: the host's own is to be shown. May throw a system error. */
export type Show = (now: number) => string | undefined

export class ProgramServices implements Services {
  /** By path. preload/paths.c has the same paths. */
  readonly files = new Map<string, Show>()
  private readonly answers = new LongAnswers()
  private readonly names: NameService
  private readonly stack: Stack

  constructor(
    stack: Stack,
    calls: Calls,
    random: () => number,
    hostname: string | undefined,
    sockets: () => Iterable<SocketView>,
    sys: SysTree,
  ) {
    this.names = new NameService(stack, calls, this.answers, random, hostname)
    this.stack = stack
    for (const [path, show] of this.names.files) this.files.set(path, show)
    for (const [name, text] of socketFiles)
      this.files.set(`/proc/net/${name}`, () => text(sockets()))
    for (const [name, text] of procFiles)
      this.files.set(`/proc/net/${name}`, now => text(stack, now))
    this.files.set('/proc/net/unix', () =>
      procUnix(readFileSync('/proc/net/unix', 'latin1'), sockets()),
    )
    // The text is where it is.
    this.files.set('/sys', () => sys.show())
  }

  /** What the node has to go by has changed. */
  configure(obtained: Obtained): void {
    this.names.configure(obtained)
  }

  run(now: number): void {
    this.names.run(now)
  }

  next(now: number): number {
    return this.names.next(now)
  }

  serve(call: Call, now: number): number | undefined {
    if (call.op === OP_REST) return this.answers.goOn(call)
    if (call.op === OP_SHOW) return this.show(call, now)
    if (call.op === OP_INTERFACES) return this.answers.give(call, interfacesOf(this.stack, now))
    return this.names.serve(call, now)
  }

  forget(block: number): void {
    this.names.forget(block)
  }

  changed(tcb: number, events: number, now: number): boolean {
    return this.names.changed(tcb, events, now)
  }

  private show(call: Call, now: number): number {
    const path = Buffer.from(call.data.subarray(0, call.length)).toString('latin1')
    try {
      const text = this.files.get(path)?.(now)
      if (text === undefined) return -EOPNOTSUPP
      return this.answers.give(call, Buffer.from(text, 'latin1'))
    } catch (error) {
      // No room for the tree, or no rights.
      const { errno } = error as NodeJS.ErrnoException
      if (errno === undefined) throw error
      return errno
    }
  }
}
