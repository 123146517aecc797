// The chain of IPv6 extension headers (RFC 8200 section 4). One object is used again for every packet.
import { u16 } from '../base/bytes.ts'
import {
  IPPROTO_DSTOPTS,
  IPPROTO_FRAGMENT,
  IPPROTO_HOPOPTS,
  IPPROTO_NONE,
  IPPROTO_ROUTING,
  IPV6_FRAGMENT_LEN,
  IPV6_HEADER_LEN,
  IPV6_NEXT_HEADER,
  IPV6_OFFSET_MASK,
} from './ipv6.ts'

/** More headers than this before the transport's serve nobody but an attacker (RFC 8504 section 5.3). */
const MAX_HEADERS = 8
/** So many options that are unknown or padding, per header (RFC 8504 section 5.3, Linux's max_dst_opts_number). */
const MAX_OPTIONS = 8
/** Consecutive padding beyond this aligns nothing (RFC 4942 section 2.1.9.5). */
const MAX_PADDING = 7

const OPT_PAD1 = 0
const OPT_PADN = 1
export const OPT_ROUTER_ALERT = 5

/** Codes of an ICMPv6 parameter problem, which a walk may ask for (RFC 4443 section 3.4). */
export const PROBLEM_FIELD = 0
export const PROBLEM_NEXT_HEADER = 1
export const PROBLEM_OPTION = 2
/** RFC 7112 section 5. */
export const PROBLEM_INCOMPLETE_CHAIN = 3

/**
 * 'upper': `protocol` and `offset` say what is behind the chain. 'fragment': `offset` is the fragment header's.
 * 'none': no next header, there is nothing to deliver. 'discard': an option or a limit says so, quietly. 'truncated': a
 * length lies. 'problem': the sender is to be told `code` and `pointer`.
 */
export type Walk = 'upper' | 'fragment' | 'none' | 'discard' | 'truncated' | 'problem'

export class Ipv6Chain {
  /** Offsets count from the IPv6 header. */
  offset = 0
  protocol = 0
  /** Of the next header field that names `protocol`; after 'problem', of what is wrong. */
  pointer = 0
  code = 0
  /** The problem is to be told even if the packet went to a group (RFC 8200 section 4.2, action 10). */
  tellsGroup = false

  /** Goes through the headers of the packet of `length` bytes at `at`, as their destination. */
  walk(bytes: Uint8Array, at: number, length: number): Walk {
    this.begin(bytes, at)
    return this.follow(bytes, at, length)
  }

  /** Goes on behind the fragment header that walk() stopped at, as if it were not there. */
  resume(bytes: Uint8Array, at: number, length: number): Walk {
    this.next(bytes, at, IPV6_FRAGMENT_LEN)
    return this.follow(bytes, at, length)
  }

  private follow(bytes: Uint8Array, at: number, length: number): Walk {
    for (let count = 0; ; count++) {
      const { protocol, offset } = this
      if (!isExtension(protocol)) return protocol === IPPROTO_NONE ? 'none' : 'upper'
      if (count === MAX_HEADERS) return 'discard'
      if (protocol === IPPROTO_FRAGMENT)
        return offset + IPV6_FRAGMENT_LEN > length ? 'truncated' : 'fragment'
      // Hop-by-hop options stand first or nowhere (section 4.1).
      if (protocol === IPPROTO_HOPOPTS && offset > IPV6_HEADER_LEN)
        return this.problem(PROBLEM_NEXT_HEADER, this.pointer)
      const headerLength = offset + 8 > length ? 0 : (bytes[at + offset + 1] + 1) << 3
      if (headerLength === 0 || offset + headerLength > length) return 'truncated'
      if (protocol === IPPROTO_ROUTING) {
        // No type is known here, and type 0 must not be (RFC 5095); without segments left it says nothing (section 4.4).
        if (bytes[at + offset + 3] !== 0) return this.problem(PROBLEM_FIELD, offset + 2)
      } else {
        const verdict = this.options(bytes, at, offset + 2, offset + headerLength)
        if (verdict !== 'upper') return verdict
      }
      this.next(bytes, at, headerLength)
    }
  }

  /**
   * Only looks for the transport header, as in a packet that an error quotes: nothing is judged. False: it is not
   * among the `length` bytes, or the packet is a fragment but not the first.
   */
  skip(bytes: Uint8Array, at: number, length: number): boolean {
    this.begin(bytes, at)
    return this.skipRest(bytes, at, length)
  }

  /** The same from the fragment header that walk() stopped at: is the chain whole in a first fragment (RFC 7112)? */
  skipRest(bytes: Uint8Array, at: number, length: number): boolean {
    for (let count = 0; count <= 2 * MAX_HEADERS; count++) {
      const { protocol, offset } = this
      if (!isExtension(protocol)) return offset <= length
      if (offset + 8 > length) return false
      const isFragment = protocol === IPPROTO_FRAGMENT
      if (isFragment && (u16(bytes, at + offset + 2) & IPV6_OFFSET_MASK) !== 0) return false
      this.next(bytes, at, isFragment ? IPV6_FRAGMENT_LEN : (bytes[at + offset + 1] + 1) << 3)
    }
    return false
  }

  private begin(bytes: Uint8Array, at: number): void {
    this.protocol = bytes[at + IPV6_NEXT_HEADER]
    this.pointer = IPV6_NEXT_HEADER
    this.offset = IPV6_HEADER_LEN
  }

  private next(bytes: Uint8Array, at: number, headerLength: number): void {
    this.protocol = bytes[at + this.offset]
    this.pointer = this.offset
    this.offset += headerLength
  }

  /** 'upper': go on behind them. */
  private options(bytes: Uint8Array, at: number, from: number, end: number): Walk {
    let padding = 0
    let strange = 0
    for (let i = from; i < end;) {
      const type = bytes[at + i]
      const size = type === OPT_PAD1 ? 1 : i + 1 < end ? 2 + bytes[at + i + 1] : Infinity
      if (i + size > end) return 'truncated'
      if (type <= OPT_PADN) {
        padding += size
        if (padding > MAX_PADDING) return 'discard'
      } else {
        padding = 0
        if (type !== OPT_ROUTER_ALERT) {
          // The two highest bits say what is to be done by who does not know it (section 4.2). The jumbo payload
          // option (RFC 2675) is among those that we do not know.
          const action = type >>> 6
          if (action === 1) return 'discard'
          if (action > 1) return this.problem(PROBLEM_OPTION, i, action === 2)
          if (++strange > MAX_OPTIONS) return 'discard'
        }
      }
      i += size
    }
    return 'upper'
  }

  private problem(code: number, pointer: number, tellsGroup = false): Walk {
    this.code = code
    this.pointer = pointer
    this.tellsGroup = tellsGroup
    return 'problem'
  }
}

/** AH and ESP are not: who has no keys cannot look behind them. */
const isExtension = (protocol: number): boolean =>
  protocol === IPPROTO_HOPOPTS ||
  protocol === IPPROTO_ROUTING ||
  protocol === IPPROTO_FRAGMENT ||
  protocol === IPPROTO_DSTOPTS
