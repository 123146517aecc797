// TCP Fast Open (RFC 7413): text in a SYN, for those who have shown before, by a cookie, that they are at their address.
// As server we remember nothing of whom we gave cookies to: a cookie is a keyed hash of both addresses. As client we
// remember, for a bounded number of destinations, the cookie, the peer's MSS, and whether such SYNs get lost on the way.
import { SipHash } from '../../../base/siphash.ts'
import type { Address } from '../../../wire/address.ts'
import type { TcpOptions } from '../../../wire/tcp-options.ts'
import { DEFAULT_MSS_V4, DEFAULT_MSS_V6 } from '../../../wire/tcp-options.ts'
import type { Segment } from './segment.ts'
import type { Tcb } from './tcb.ts'

/** What our cookies have; RFC 7413 section 4.1.1 allows 4 to 16. */
export const COOKIE_LENGTH = 8
const KEY_LENGTH = 16
const DESTINATIONS = 1024
/** After a SYN with text was lost, and longer each time it happens again: Linux's tcp_fastopen_blackhole_timeout, ms. */
const BLACKHOLE_MS = 3_600_000
const BLACKHOLE_DOUBLINGS = 6
/** A connection that was reset before its handshake was done counts as pending so long (section 5.1), ms. */
const RESET_MS = 60_000

interface Destination {
  cookie: Uint8Array
  mss: number
  losses: number
  /** No fast open until then. */
  notBefore: number
}

export class FastOpen {
  /** Connections in SYN-RECEIVED that a program has. */
  pending = 0
  private key = new Uint8Array(KEY_LENGTH)
  /** The key that counts, and those before it whose cookies are still good. */
  private hashes: SipHash[]
  private readonly addresses = new Uint8Array(32)
  private readonly made = new Uint8Array(COOKIE_LENGTH)
  private readonly destinations = new Map<string, Destination>()
  private readonly resets: number[] = []

  constructor(random: (bytes: Uint8Array) => void) {
    random(this.key)
    this.hashes = [new SipHash(this.key)]
  }

  // ---- server

  /** TCP_FASTOPEN_KEY: 16 bytes, or 32: the second half is the key before. False: another length. */
  setKey(key: Uint8Array): boolean {
    if (key.length !== KEY_LENGTH && key.length !== 2 * KEY_LENGTH) return false
    this.key = key.slice()
    this.hashes = []
    for (let at = 0; at < key.length; at += KEY_LENGTH)
      this.hashes.push(new SipHash(this.key.subarray(at, at + KEY_LENGTH)))
    return true
  }
  getKey(): Uint8Array {
    return this.key.slice()
  }

  /** The cookie for this connection's peer; the array is used again. */
  cookie(tcb: Tcb): Uint8Array {
    return this.make(tcb, 0)
  }

  /** Is what a SYN brought a cookie of ours? 'old': by the key before. */
  check(tcb: Tcb, { fastOpen, cookie }: TcpOptions): 'good' | 'old' | 'bad' {
    if (fastOpen !== COOKIE_LENGTH) return 'bad'
    for (let i = 0; i < this.hashes.length; i++) {
      const made = this.make(tcb, i)
      if (made.every((byte, at) => byte === cookie[at])) return i === 0 ? 'good' : 'old'
    }
    return 'bad'
  }

  /** May one more begin, where `most` may wait for the end of their handshakes? */
  mayBegin(most: number, now: number): boolean {
    while (this.resets.length > 0 && this.resets[0] <= now) this.resets.shift()
    return this.pending + this.resets.length < most
  }

  wasReset(now: number): void {
    this.resets.push(now + RESET_MS)
  }

  private make(tcb: Tcb, which: number): Uint8Array {
    const sip = this.hashes[which]
    tcb.remote.write(this.addresses, 0)
    tcb.local.write(this.addresses, 16)
    sip.hash(this.addresses, 0, 32)
    for (let i = 0; i < 4; i++) {
      this.made[i] = sip.low >>> (8 * i)
      this.made[4 + i] = sip.high >>> (8 * i)
    }
    return this.made
  }

  // ---- client

  /** The cookie to send to `dst`: empty: ask for one; undefined: it is better not to. */
  cookieFor(dst: Address, now: number): Uint8Array | undefined {
    const known = this.destinations.get(keyOf(dst))
    if (!known) return NO_COOKIE
    return now < known.notBefore ? undefined : known.cookie
  }

  /** The MSS that `dst` announced last, or the default. */
  mssOf(dst: Address): number {
    return this.destinations.get(keyOf(dst))?.mss ?? (dst.isV4 ? DEFAULT_MSS_V4 : DEFAULT_MSS_V6)
  }

  /** The answer to a SYN that asked for fast open; `lost`: only a second, without it, was answered. */
  learn(tcb: Tcb, seg: Segment, lost: boolean, now: number): void {
    const { fastOpen, cookie } = seg.options
    const key = keyOf(tcb.remote)
    const known = this.destinations.get(key)
    if (!known && fastOpen <= 0 && !lost) return
    const d = known ?? { cookie: NO_COOKIE, mss: 0, losses: 0, notBefore: 0 }
    d.mss = tcb.snd.peerMss
    if (fastOpen > 0) d.cookie = cookie.slice(0, fastOpen)
    d.losses = lost ? d.losses + 1 : 0
    d.notBefore = lost ? now + BLACKHOLE_MS * 2 ** Math.min(d.losses - 1, BLACKHOLE_DOUBLINGS) : 0
    // The one that was used longest ago goes.
    this.destinations.delete(key)
    this.destinations.set(key, d)
    if (this.destinations.size <= DESTINATIONS) return
    for (const oldest of this.destinations.keys()) {
      this.destinations.delete(oldest)
      return
    }
  }

  /** Destinations remembered. */
  get size(): number {
    return this.destinations.size
  }
}

const NO_COOKIE = new Uint8Array(0)
const keyOf = ({ a, b, c, d }: Address): string => `${a} ${b} ${c} ${d}`
