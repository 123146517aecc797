// What MSG_MORE and UDP_CORK hold back: the texts of several calls become one datagram, to where the first one said.
import { EMSGSIZE } from '../../base/errno.ts'
import type { Outgoing } from '../../stack/stack.ts'

const MOST = 65507

export class Cork {
  private parts: Uint8Array[] = []
  private readonly words = new Int32Array(8)
  private first: Pick<Outgoing, 'named' | 'sourced' | 'port' | 'ttl' | 'tos'> | undefined
  length = 0

  get isEmpty(): boolean {
    return this.first === undefined
  }

  /** 0, or -EMSGSIZE: then all of it is lost (Linux). */
  add(out: Outgoing): number {
    if (this.length + out.length > MOST) {
      this.clear()
      return -EMSGSIZE
    }
    if (this.first === undefined) {
      const { named, sourced, port, ttl, tos } = out
      this.first = { named, sourced, port, ttl, tos }
      this.words.set(out.words)
    }
    this.parts.push(out.bytes.slice(out.at, out.at + out.length))
    this.length += out.length
    return 0
  }

  /** All of it. */
  fill(out: Outgoing): void {
    const bytes = Buffer.concat(this.parts)
    out.text(bytes)
    out.words.set(this.words)
    Object.assign(out, this.first)
  }

  /** The last part found no room and comes again: it is taken out. */
  take(out: Outgoing): void {
    const last = this.parts.pop()
    if (last !== undefined) this.length -= last.length
    if (this.parts.length === 0) this.clear()
    out.length = 0
  }

  clear(): void {
    this.parts = []
    this.first = undefined
    this.length = 0
  }
}
