// One virtual stream socket as the server has it: its row in the private table, its record in the region, its two
// rings, and the calls that wait for it. No decisions here; connection.ts and listener.ts have those.
import { ReceiveRing, SendRing } from '../ring/byte-ring.ts'
import type { Region } from '../shm/region.ts'
import { SocketRecord } from './record.ts'
import * as T from './table.ts'

/** A call that was put off until something is so (WAIT_*). */
export interface Waiter {
  readonly block: number
  readonly wait: number
  /** When it is answered in any case, ms; Infinity. */
  readonly until: number
}

export class Stream extends SocketRecord {
  readonly rx: ReceiveRing
  readonly tx: SendRing
  /** Calls that wait, most often none. */
  waiters: Waiter[] = []
  /** A listener: the turn in which its name was last probed, ms. */
  probedAt = -1

  constructor(region: Region, table: T.SocketTable, index: number) {
    super(region, table, index)
    this.rx = new ReceiveRing(region, index)
    this.tx = new SendRing(region, index)
  }

  get tcb(): number {
    return this.get(T.TCB)
  }
}
