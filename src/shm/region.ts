// One stack's shared memory: made and sealed here, mapped by every program of the stack.
import * as libc from '../ffi/libc.ts'
import {
  ABI_MAGIC,
  ABI_RECORDS_OFFSET,
  ABI_REGION_SIZE,
  ABI_VERSION,
  RECORD_SIZE,
  REGION,
  SERVER_STARTING,
} from './layout.ts'

const MFD_CLOEXEC = 1
const MFD_ALLOW_SEALING = 2
const F_ADD_SEALS = 1033
/** SEAL | SHRINK | GROW: nobody can resize it and make the others fault. */
const SEALS = 1 | 2 | 4

export class Region {
  readonly fd: number
  /** Where this process has it mapped. */
  readonly address: number
  readonly bytes: Uint8Array
  readonly words: Int32Array
  readonly quads: BigInt64Array

  /** The region already mapped at `address`: another thread of this process uses it too. */
  constructor(fd: number, address: number) {
    this.fd = fd
    this.address = address
    const memory = libc.view(address, ABI_REGION_SIZE)
    this.bytes = new Uint8Array(memory)
    this.words = new Int32Array(memory)
    this.quads = new BigInt64Array(memory)
  }

  /** A new, empty region. Throws when the kernel gives no memory file. */
  static create(): Region {
    const fd = libc.memfdCreate('ioth', MFD_CLOEXEC | MFD_ALLOW_SEALING)
    if (fd < 0) throw new Error(`Cannot make shared memory: memfd_create gave errno ${-fd}`)
    const sized = libc.ftruncate(fd, ABI_REGION_SIZE)
    if (sized < 0) throw new Error(`Cannot size shared memory: ftruncate gave errno ${-sized}`)
    const sealed = libc.fcntl(fd, F_ADD_SEALS, SEALS)
    if (sealed < 0) throw new Error(`Cannot seal shared memory: fcntl gave errno ${-sealed}`)
    const address = libc.mmap(fd, ABI_REGION_SIZE)
    if (address < 0) throw new Error(`Cannot map shared memory: mmap gave errno ${-address}`)
    const region = new Region(fd, address)
    region.words[REGION.magic / 4] = ABI_MAGIC
    region.words[REGION.version / 4] = ABI_VERSION
    Atomics.store(region.words, REGION.state / 4, SERVER_STARTING)
    return region
  }
}

/** Index into Region.words of record `i`'s first word. */
export const recordWord = (i: number) => (ABI_RECORDS_OFFSET + i * RECORD_SIZE) / 4
