// The names of virtual sockets in the kernel's abstract namespace, and what they tell: a name that cannot be bound is
// alive. A socket that failed to bind is as good as new, so one serves for all probes.
import * as libc from '../ffi/libc.ts'
import { unixBind, unixSocket } from '../ffi/unix.ts'
import { ABI_NAME_PREFIX, ABI_RECORDS } from '../shm/layout.ts'

export class Names {
  /** `@ioth/STACK/`: what all of them begin with. */
  readonly prefix: string
  /** By type of socket: a name of one type is free for another. */
  readonly #spares = new Map<number, number>()

  constructor(stack: string) {
    this.prefix = `@${ABI_NAME_PREFIX}${stack}/`
  }

  of(record: number, generation: number): string {
    return `${this.prefix}${record}.${generation}`
  }

  /** Record and generation in a name, undefined if it is none of ours. */
  parse(name: string): { record: number; generation: number } | undefined {
    if (!name.startsWith(this.prefix)) return
    const match = /^(\d{1,5})\.(\d{1,10})$/.exec(name.slice(this.prefix.length))
    if (match === null) return
    const record = Number(match[1])
    return record < ABI_RECORDS ? { record, generation: Number(match[2]) } : undefined
  }

  /** Does anyone hold a socket of this type and name? What cannot be told counts as alive. */
  alive(record: number, generation: number, type = libc.SOCK_STREAM): boolean {
    const spare = this.#spares.get(type) ?? unixSocket(type)
    if (spare < 0) return true
    if (unixBind(spare, this.of(record, generation)) < 0) {
      this.#spares.set(type, spare)
      return true
    }
    libc.close(spare)
    this.#spares.delete(type)
    return false
  }
}
