// Fragments to datagrams (RFC 791, RFC 815, RFC 8200 section 4.5), as bounded as what strangers may fill has to be. Each
// datagram has the bytes that came and one flag for every eight of them, so that a fragment costs what it is long,
// whatever its order: no list to walk (FragmentSmack). Fragments that overlap belong to an attack, not to a network; they
// end their datagram (RFC 5722, of which RFC 1858 and RFC 3128 are the reasons in IPv4).
import { i32, u16, writeU16 } from '../../base/bytes.ts'
import { checksum } from '../../wire/checksum.ts'
import {
  IPV4_DST,
  IPV4_FRAGMENT,
  IPV4_ID,
  IPV4_MAX_DATAGRAM,
  IPV4_MF,
  IPV4_OFFSET_MASK,
  IPV4_PROTOCOL,
  IPV4_SRC,
  IPV4_TOS,
  IPV4_TOTAL_LENGTH,
} from '../../wire/ipv4.ts'
import {
  IPV6_FRAGMENT_LEN,
  IPV6_HEADER_LEN,
  IPV6_MF,
  IPV6_OFFSET_MASK,
  IPV6_PAYLOAD_LENGTH,
  IPV6_SRC,
} from '../../wire/ipv6.ts'
import { Ipv6Chain } from '../../wire/ipv6-extensions.ts'
import type { NetCounters } from './counters.ts'

/** As Linux's ipfrag_time, ms. RFC 1122 section 3.3.2 would like 60 s at least; memory would not. */
export const IPV4_REASSEMBLY_TIME = 30_000
/** RFC 8200 section 4.5. */
export const IPV6_REASSEMBLY_TIME = 60_000
const MAX_DATAGRAMS = 64
const MAX_BYTES = 1024 * 1024
/** The first fragment's header stands before the data, right-aligned in this: IPv6 extension headers are bounded by it. */
const HEADROOM = 256
/** Of data. */
const MAX_LENGTH = 65535
const FIRST_SIZE = 2048
/**
 * A datagram is marked if one of its fragments is (RFC 3168 section 5.3). Its sender gave all of them the same field, so
 * that not-ECT beside another was written by somebody on the way: such a datagram is dropped, as Linux does.
 */
const NOT_ECT_SEEN = 1 << 0
const CE_SEEN = 1 << 3

/** A datagram in the making. */
interface Partial {
  readonly deadline: number
  bytes: Uint8Array
  /** One flag for each eight bytes of data. */
  seen: Uint8Array
  /** Of the first fragment; 0: it has not come. */
  headerLength: number
  firstLength: number
  received: number
  /** The ECN fields seen: bit n for the value n. */
  ecn: number
  /** End of the data seen so far, and where the last fragment says that the end is; -1: it has not come. */
  highest: number
  end: number
  dropped: boolean
}

/** A whole datagram: `at` is where its header is in `bytes`. */
export interface Reassembled {
  readonly bytes: Uint8Array
  readonly at: number
  readonly headerLength: number
  readonly totalLength: number
  /** A router marked one of its fragments. */
  readonly congested: boolean
}

/** The first fragment of a datagram that never became whole. */
type OnTimeout = (bytes: Uint8Array, at: number, length: number, now: number) => void

export class Reassembly {
  readonly counters: NetCounters
  private readonly time: number
  private readonly onTimeout: OnTimeout
  /** By what makes fragments one datagram's; the oldest first. */
  private readonly partials = new Map<string, Partial>()
  private bytes = 0

  constructor(counters: NetCounters, time: number, onTimeout: OnTimeout) {
    this.counters = counters
    this.time = time
    this.onTimeout = onTimeout
  }

  get size(): number {
    return this.partials.size
  }

  /** Bytes held. */
  get memory(): number {
    return this.bytes
  }

  /** When run() has something to do. */
  get next(): number {
    // Asked for in every turn: an iterator is made only where there is something.
    if (this.partials.size === 0) return Infinity
    for (const partial of this.partials.values()) return partial.deadline
    return Infinity
  }

  run(now: number): void {
    if (now < this.next) return
    for (const [key, partial] of this.partials) {
      if (partial.deadline > now) return
      this.forget(key, partial)
      if (partial.dropped) continue
      this.counters.reassemblyTimeout++
      const { bytes, headerLength, firstLength } = partial
      if (headerLength > 0)
        this.onTimeout(bytes, HEADROOM - headerLength, headerLength + firstLength, now)
    }
  }

  /**
   * `length` bytes at `offset` of the datagram `key`, behind a header of `headerLength` bytes at `at`; the datagram with
   * the first fragment's header, if this was the last that was missing. `ecn`: the header's. The caller has checked the
   * numbers.
   */
  add(
    key: string,
    bytes: Uint8Array,
    at: number,
    headerLength: number,
    length: number,
    offset: number,
    more: boolean,
    ecn: number,
    now: number,
  ): Reassembled | undefined {
    const { counters } = this
    if (headerLength > HEADROOM) {
      counters.badFragment++
      return
    }
    const end = offset + length
    const partial = this.partials.get(key) ?? this.start(key, now)
    if (partial.dropped) {
      counters.fragmentOfDropped++
      return
    }
    const fits =
      partial.end < 0
        ? more || end >= partial.highest
        : more
          ? end <= partial.end
          : end === partial.end
    const before = fits ? this.compare(partial, bytes, at + headerLength, offset, end) : 'overlap'
    if (before === 'same') return
    if (before === 'overlap') {
      counters.fragmentOverlap++
      this.drop(partial)
      return
    }
    this.grow(key, partial, more ? end : Math.max(end, partial.highest))
    const data = at + headerLength
    partial.bytes.set(bytes.subarray(data, data + length), HEADROOM + offset)
    partial.seen.fill(1, offset >> 3, (end + 7) >> 3)
    partial.received += length
    partial.ecn |= 1 << ecn
    partial.highest = Math.max(partial.highest, end)
    if (!more) partial.end = end
    if (offset === 0) {
      partial.bytes.set(bytes.subarray(at, at + headerLength), HEADROOM - headerLength)
      partial.headerLength = headerLength
      partial.firstLength = length
    }
    if (partial.received !== partial.end) return
    this.forget(key, partial)
    if ((partial.ecn & NOT_ECT_SEEN) !== 0 && partial.ecn !== NOT_ECT_SEEN) {
      counters.fragmentEcn++
      return
    }
    counters.reassembled++
    return {
      bytes: partial.bytes,
      at: HEADROOM - partial.headerLength,
      headerLength: partial.headerLength,
      totalLength: partial.headerLength + partial.end,
      congested: (partial.ecn & CE_SEEN) !== 0,
    }
  }

  private start(key: string, now: number): Partial {
    while (this.partials.size >= MAX_DATAGRAMS) this.evict(undefined)
    const partial: Partial = {
      deadline: now + this.time,
      bytes: NO_BYTES,
      seen: NO_BYTES,
      headerLength: 0,
      firstLength: 0,
      received: 0,
      ecn: 0,
      highest: 0,
      end: -1,
      dropped: false,
    }
    this.partials.set(key, partial)
    return partial
  }

  /** Has any of this come before? The very same bytes may: a network that doubles packets doubles fragments. */
  private compare(
    partial: Partial,
    bytes: Uint8Array,
    from: number,
    offset: number,
    end: number,
  ): 'new' | 'same' | 'overlap' {
    const last = Math.min((end + 7) >> 3, partial.seen.length)
    let covered = 0
    for (let i = offset >> 3; i < last; i++) covered += partial.seen[i]
    if (covered === 0) return 'new'
    if (covered !== ((end + 7) >> 3) - (offset >> 3)) return 'overlap'
    for (let i = offset; i < end; i++)
      if (partial.bytes[HEADROOM + i] !== bytes[from + i - offset]) return 'overlap'
    return 'same'
  }

  /** What is left is the memory that this datagram is not to be tried again. */
  private drop(partial: Partial): void {
    this.bytes -= partial.bytes.length
    partial.bytes = NO_BYTES
    partial.seen = NO_BYTES
    partial.dropped = true
  }

  private grow(key: string, partial: Partial, end: number): void {
    const old = partial.bytes
    if (HEADROOM + end <= old.length) return
    let size = Math.max(FIRST_SIZE, old.length - HEADROOM)
    while (size < end) size *= 2
    size = Math.min(size, MAX_LENGTH)
    while (this.bytes - old.length + HEADROOM + size > MAX_BYTES) this.evict(key)
    partial.bytes = new Uint8Array(HEADROOM + size)
    partial.bytes.set(old)
    const { seen } = partial
    partial.seen = new Uint8Array((size + 7) >> 3)
    partial.seen.set(seen)
    this.bytes += partial.bytes.length - old.length
  }

  /** Gives up the oldest, but not `keep`. */
  private evict(keep: string | undefined): void {
    for (const [key, partial] of this.partials) {
      if (key === keep || (keep !== undefined && partial.bytes.length === 0)) continue
      this.forget(key, partial)
      this.counters.reassemblyFull++
      return
    }
    throw new Error(`Reassembly holds ${this.bytes} bytes and no datagram to give up`)
  }

  private forget(key: string, partial: Partial): void {
    this.partials.delete(key)
    this.bytes -= partial.bytes.length
  }
}

const NO_BYTES = new Uint8Array(0)

/** An IPv4 fragment whose header is checked; the datagram, if this was the last that was missing. */
export function addIpv4Fragment(
  reassembly: Reassembly,
  bytes: Uint8Array,
  at: number,
  headerLength: number,
  totalLength: number,
  now: number,
): Reassembled | undefined {
  const { counters } = reassembly
  counters.fragmentsIn++
  const word = u16(bytes, at + IPV4_FRAGMENT)
  const offset = (word & IPV4_OFFSET_MASK) << 3
  const more = (word & IPV4_MF) !== 0
  const length = totalLength - headerLength
  if (
    length === 0 ||
    (more && (length & 7) !== 0) ||
    headerLength + offset + length > IPV4_MAX_DATAGRAM
  ) {
    counters.badFragment++
    return
  }
  const key = [
    i32(bytes, at + IPV4_SRC),
    i32(bytes, at + IPV4_DST),
    u16(bytes, at + IPV4_ID),
    bytes[at + IPV4_PROTOCOL],
  ].join()
  const ecn = bytes[at + IPV4_TOS] & 3
  const whole = reassembly.add(key, bytes, at, headerLength, length, offset, more, ecn, now)
  if (whole === undefined) return
  // The first fragment's header was the longer one, and the datagram is too long with it.
  if (whole.totalLength > IPV4_MAX_DATAGRAM) {
    counters.badFragment++
    return
  }
  writeU16(whole.bytes, whole.at + IPV4_TOTAL_LENGTH, whole.totalLength)
  writeU16(whole.bytes, whole.at + IPV4_FRAGMENT, 0)
  if (whole.congested) whole.bytes[whole.at + IPV4_TOS] |= 3
  writeU16(whole.bytes, whole.at + 10, 0)
  writeU16(whole.bytes, whole.at + 10, checksum(whole.bytes, whole.at, whole.headerLength))
  return whole
}

/** What is wrong with an IPv6 fragment (RFC 8200 section 4.5): its sender is to be told so, but for 'empty'. */
export type Ipv6FragmentFault = 'length' | 'offset' | 'empty'

/**
 * The same for an IPv6 packet of `totalLength` bytes with a fragment header `fragment` bytes from its start; or why it is
 * none. The transport header is not looked for: the caller does, in what is whole.
 */
export function addIpv6Fragment(
  reassembly: Reassembly,
  bytes: Uint8Array,
  at: number,
  fragment: number,
  totalLength: number,
  now: number,
): Reassembled | Ipv6FragmentFault | undefined {
  const { counters } = reassembly
  counters.fragmentsIn++
  const word = u16(bytes, at + fragment + 2)
  const offset = word & IPV6_OFFSET_MASK
  const more = (word & IPV6_MF) !== 0
  const headerLength = fragment + IPV6_FRAGMENT_LEN
  const length = totalLength - headerLength
  const fault = more && (length & 7) !== 0 ? 'length' : length === 0 ? 'empty' : undefined
  if (fault !== undefined || fragment - IPV6_HEADER_LEN + offset + length > 65535) {
    counters.badFragment++
    return fault ?? 'offset'
  }
  const words = [i32(bytes, at + fragment + 4)]
  for (let i = 0; i < 8; i++) words.push(i32(bytes, at + IPV6_SRC + 4 * i))
  const ecn = (bytes[at + 1] >> 4) & 3
  const key = words.join()
  const whole = reassembly.add(key, bytes, at, headerLength, length, offset, more, ecn, now)
  return whole && withoutFragmentHeader(whole, counters)
}

const chain = new Ipv6Chain()

/** The next header field that named the fragment header names what stood behind it in the first fragment. */
function withoutFragmentHeader(whole: Reassembled, counters: NetCounters): Reassembled | undefined {
  const { bytes, congested } = whole
  const headerLength = whole.headerLength - IPV6_FRAGMENT_LEN
  const payloadLength = whole.totalLength - IPV6_FRAGMENT_LEN - IPV6_HEADER_LEN
  const walk = chain.walk(bytes, whole.at, whole.headerLength)
  if (walk !== 'fragment' || payloadLength > 65535) {
    counters.badFragment++
    return
  }
  const at = whole.at + IPV6_FRAGMENT_LEN
  const nextHeader = bytes[whole.at + headerLength]
  bytes.copyWithin(at, whole.at, whole.at + headerLength)
  bytes[at + chain.pointer] = nextHeader
  writeU16(bytes, at + IPV6_PAYLOAD_LENGTH, payloadLength)
  if (congested) bytes[at + 1] |= 3 << 4
  return { bytes, at, headerLength, totalLength: IPV6_HEADER_LEN + payloadLength, congested }
}
