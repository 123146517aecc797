// Calls of programs that are about no socket: names, files that are shown.
import { EOPNOTSUPP } from '../base/errno.ts'
import type { Obtained } from '../conf/configuration.ts'
import { OP_REST, OP_SHOW } from '../shm/layout.ts'
import type { Call, Calls } from '../sockets/calls.ts'
import { LongAnswers } from '../sockets/long-answers.ts'
import type { Services } from '../sockets/sockets.ts'
import type { Stack } from '../stack/stack.ts'
import { NameService } from './name-service.ts'

/** A file's text as it is now; undefined: the host's own is to be shown. */
export type Show = () => string | undefined

export class ProgramServices implements Services {
  /** By path. preload/paths.c has the same paths. */
  readonly files = new Map<string, Show>()
  private readonly answers = new LongAnswers()
  private readonly names: NameService

  constructor(stack: Stack, calls: Calls, random: () => number, hostname: string | undefined) {
    this.names = new NameService(stack, calls, this.answers, random, hostname)
    for (const [path, show] of this.names.files) this.files.set(path, show)
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
    if (call.op === OP_SHOW) return this.show(call)
    return this.names.serve(call, now)
  }

  forget(block: number): void {
    this.names.forget(block)
  }

  changed(tcb: number, events: number, now: number): boolean {
    return this.names.changed(tcb, events, now)
  }

  private show(call: Call): number {
    const path = Buffer.from(call.data.subarray(0, call.length)).toString('latin1')
    const text = this.files.get(path)?.()
    return text === undefined ? -EOPNOTSUPP : this.answers.give(call, Buffer.from(text, 'latin1'))
  }
}
