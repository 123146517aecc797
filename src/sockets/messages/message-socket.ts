// One message socket as the server has it. To the program it is an AF_UNIX SOCK_SEQPACKET whose other end, `fd`, is
// here, so what waits to be read lies in the kernel's queue, and readiness, blocking and time limits are the kernel's.
// Behind that queue there is another one here, for what is more than the kernel takes and less than SO_RCVBUF.
//
// Messages have heads (preload/abi.h) as long as all who read are the shim's. A native socket gets bare text, one message
// at a time: whose text lies there is then known, and told to who asks (OP_MESSAGE_NAME).
import type { Region } from '../../shm/region.ts'
import { RECORD, RECORD_CONNECTED, RECORD_FREE, RECORD_OPEN } from '../../shm/layout.ts'
import { ANY_V4, ANY_V6, type Address } from '../../wire/address.ts'
import { AF_INET6 } from '../../ffi/libc.ts'
import { SocketRecord } from '../record.ts'
import * as T from '../table.ts'
import type { Kind } from './kind.ts'

/** An entry of the error queue: a head with name and control as recvmsg(2) is to show them, and the text quoted. */
export type QueuedError = Uint8Array

export class MessageSocket extends SocketRecord {
  kind!: Kind
  /** Not yet with the program: heads and text. */
  readonly queue: Uint8Array[] = []
  queuedBytes = 0
  /** On the way to native mode: nothing more is sent. */
  held = false
  /** How many came back since then: they go before what has arrived meanwhile. */
  returned = 0
  /** Native: the head of what lies in the program's socket. */
  inFlight: Uint8Array | undefined
  /** A message of the program's that found no room: head and text. */
  waiting: Uint8Array | undefined
  waitingIsBare = false
  /** The row is of before: a new stack thread takes it up. */
  recovering = false
  readonly errors: QueuedError[] = []
  /** Datagrams lost because the program did not read (SO_RXQ_OVFL). */
  drops = 0

  readonly notes: Int32Array

  constructor(region: Region, table: T.SocketTable, index: number) {
    super(region, table, index)
    this.notes = table.notes(index)
  }

  get family(): number {
    return this.get(T.FAMILY)
  }
  get type(): number {
    return this.get(T.TYPE)
  }
  get protocol(): number {
    return this.get(T.PROTOCOL)
  }
  get remote(): Address {
    return this.address(T.REMOTE)
  }
  /** The unspecified address of its family. */
  get any(): Address {
    return this.family === AF_INET6 ? ANY_V6 : ANY_V4
  }

  /** getsockname(2) says so, and a new stack thread finds it. */
  setLocal(address: Address, port: number): void {
    this.local = address
    this.set(T.PORT, port)
    this.shareName(RECORD.local, address, port)
  }

  /** The same of getpeername(2); undefined: there is no peer. */
  setPeer(address: Address | undefined, port: number): void {
    this.setAddress(T.REMOTE, address ?? this.any)
    this.set(T.REMOTE_PORT, port)
    if (address === undefined) this.unmark(T.HAS_PEER)
    else this.mark(T.HAS_PEER)
    if (address !== undefined) this.shareName(RECORD.peer, address, port)
    this.share(RECORD.state, address === undefined ? RECORD_OPEN : RECORD_CONNECTED)
  }

  get connected(): boolean {
    return this.has(T.HAS_PEER)
  }

  /** What its heads begin with: nobody's text does. */
  get cookie(): Int32Array {
    return this.#cookie
  }
  readonly #cookie = new Int32Array(4)

  /** A new one, which the program finds in the record. */
  bake(random: readonly number[]): void {
    random.forEach((word, i) => {
      this.#cookie[i] = word
      this.set(T.COOKIE + i, word)
      this.share(RECORD.cookie + 4 * i, word)
    })
  }

  /** The one that a stack thread before this one made. */
  recall(): void {
    for (let i = 0; i < 4; i++) this.#cookie[i] = this.get(T.COOKIE + i)
  }

  /** The record is nobody's. */
  retire(): void {
    this.set(T.FD, -1)
    this.share(RECORD.state, RECORD_FREE)
  }

  /** What the program remembers of check() counts no more. */
  forgetChecks(): void {
    this.#checked = (this.#checked + 1) | 0
    this.share(RECORD.checked, this.#checked)
  }
  #checked = 1
}
