// Memory at a known address, for system calls that take much more than scratch holds: a message with all of its text.
import * as libc from './libc.ts'

export class Stage {
  readonly address: number
  readonly bytes: Uint8Array
  readonly view: DataView

  /** Throws when there is no memory. */
  constructor(size: number) {
    this.address = libc.mmap(-1, size)
    if (this.address < 0) throw new Error(`no memory for messages (errno ${-this.address})`)
    const memory = libc.view(this.address, size)
    this.bytes = new Uint8Array(memory)
    this.view = new DataView(memory)
  }
}
