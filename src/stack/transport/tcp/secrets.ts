// Numbers that nobody may guess: initial sequence numbers (RFC 6528), timestamp offsets (RFC 7323 section 5.4), hash
// keys. All from the randomness that the stack was given.
import { SipHash } from '../../../base/siphash.ts'
import { type Seq, seq } from './seq.ts'
import type { Tcb } from './tcb.ts'

export class Secrets {
  private readonly random: (bytes: Uint8Array) => void
  private readonly four = new Uint8Array(4)
  private readonly tuple = new Uint8Array(36)
  private readonly sip: SipHash
  readonly tableKey0: number
  readonly tableKey1: number

  constructor(random: (bytes: Uint8Array) => void) {
    this.random = random
    const key = new Uint8Array(16)
    random(key)
    this.sip = new SipHash(key)
    this.tableKey0 = this.word()
    this.tableKey1 = this.word()
  }

  /** 32 random bits. */
  word(): number {
    const b = this.four
    this.random(b)
    return b[0] | (b[1] << 8) | (b[2] << 16) | (b[3] << 24)
  }

  /** ISN = M + F(addresses, ports, secret), M counting 4 µs (RFC 6528 section 3); tsOffset from the other half of F. */
  choose(tcb: Tcb, now: number): Seq {
    const b = this.tuple
    tcb.local.write(b, 0)
    tcb.remote.write(b, 16)
    b[32] = tcb.localPort >>> 8
    b[33] = tcb.localPort
    b[34] = tcb.remotePort >>> 8
    b[35] = tcb.remotePort
    this.sip.hash(b, 0, b.length)
    tcb.snd.tsOffset = this.sip.high
    return seq(this.sip.low + ((now * 250) | 0))
  }
}
