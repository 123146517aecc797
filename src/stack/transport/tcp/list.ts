// Connections of one kind by age, linked through their records (tcb.next, tcb.prev): the half-open, and TIME-WAIT.
import { F_LISTED, type Tcb } from './tcb.ts'

export class AgeList {
  private readonly tcb: (slot: number) => Tcb
  private first = -1
  private last = -1
  length = 0

  constructor(tcb: (slot: number) => Tcb) {
    this.tcb = tcb
  }

  /** The one that has been here longest; undefined: it is empty. */
  get oldest(): Tcb | undefined {
    return this.first < 0 ? undefined : this.tcb(this.first)
  }

  push(tcb: Tcb): void {
    tcb.mark(F_LISTED)
    tcb.next = -1
    tcb.prev = this.last
    if (this.last < 0) this.first = tcb.slot
    else this.tcb(this.last).next = tcb.slot
    this.last = tcb.slot
    this.length++
  }

  remove(tcb: Tcb): void {
    tcb.unmark(F_LISTED)
    if (tcb.prev < 0) this.first = tcb.next
    else this.tcb(tcb.prev).next = tcb.next
    if (tcb.next < 0) this.last = tcb.prev
    else this.tcb(tcb.next).prev = tcb.prev
    this.length--
  }
}
