// What a network card with segmentation offload does: cuts a frame that holds a row of segments (or of UDP datagrams) into
// frames of the wire, and finishes checksums that were left undone. For whoever must treat frames as the wire has them.
//
// The checksum field of such a frame holds the pseudo-header's sum, with the length of the whole. Every segment's is that
// sum with another length (RFC 1624's arithmetic), so a routing header's final destination needs no thought.
import { u16, u32, writeU16, writeU32 } from '../base/bytes.ts'
import { checksum, finish, fold, sumBytes } from './checksum.ts'
import { ETHER_HEADER_LEN, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from './ethernet.ts'
import {
  IPPROTO_UDP,
  IPV4_FRAGMENT,
  IPV4_HEADER_LEN,
  IPV4_ID,
  IPV4_MF,
  IPV4_OFFSET_MASK,
  IPV4_PROTOCOL,
  IPV4_TOTAL_LENGTH,
} from './ipv4.ts'
import { IPV6_HEADER_LEN, IPV6_PAYLOAD_LENGTH } from './ipv6.ts'
import {
  CWR,
  dataOffset,
  FIN,
  IPPROTO_TCP,
  PSH,
  TCP_CHECKSUM_OFFSET,
  TCP_HEADER_LENGTH,
} from './tcp.ts'
import { UDP_HEADER_LEN } from './udp.ts'

/** Where the checksum lies in a UDP header. */
export const UDP_CHECKSUM_OFFSET = 6
const UDP_LENGTH = 4
const TCP_SEQUENCE = 4
const TCP_FLAGS = 13
const IPV4_CHECKSUM = 10

const ETHERTYPE_VLAN = 0x8100
const ETHERTYPE_QINQ = 0x88a8
const VLAN_TAG = 4

/** Where the IP packet begins in the frame at `frame`: behind its addresses, VLAN tags (two at most) and type. */
export function networkOffset(bytes: Uint8Array, frame: number): number {
  let at = ETHER_HEADER_LEN
  for (let tags = 0; tags < 2; tags++, at += VLAN_TAG) {
    const type = u16(bytes, frame + at - 2)
    if (type !== ETHERTYPE_VLAN && type !== ETHERTYPE_QINQ) break
  }
  return at
}

/** One frame being cut: one object, used again. The frame stays where it lies until the last next(). */
export class Segmenter {
  /** Frames that next() will give in all. */
  count = 0
  /** The longest of them. */
  longest = 0
  /** Text bytes of a segment. */
  size = 0
  /** Where the IP header and the transport header begin, and the checksum in the latter. */
  network = 0
  transport = 0
  checksumOffset = 0
  /** Bytes repeated before each segment's text; 0: the frame is whole, and only its checksum may be undone. */
  header = 0
  v4 = false
  /** The pseudo-header's sum without the length. */
  pseudo = 0
  #bytes: Uint8Array = new Uint8Array(0)
  #at = 0
  #length = 0
  #given = 0

  /** The arguments are FrameSink.close()'s. False: the frame cannot be what they say. */
  start(
    bytes: Uint8Array,
    at: number,
    length: number,
    gsoSize: number,
    checksumStart: number,
    checksumOffset: number,
  ): boolean {
    this.#bytes = bytes
    this.#at = at
    this.#length = this.longest = length
    this.transport = checksumStart
    this.checksumOffset = checksumOffset
    this.#given = this.header = 0
    this.count = 1
    if (gsoSize === 0)
      return (
        checksumStart === 0 ||
        (checksumStart >= ETHER_HEADER_LEN && checksumStart + checksumOffset + 2 <= length)
      )
    if (length < ETHER_HEADER_LEN || !this.#measure(length)) return false
    this.size = gsoSize
    this.count = Math.max(1, Math.ceil((length - this.header) / gsoSize))
    this.longest = Math.min(length, this.header + gsoSize)
    this.pseudo =
      u16(bytes, at + checksumStart + checksumOffset) + (~(length - checksumStart) & 0xffff)
    return true
  }

  /** Writes the next frame at out[to]: its length; 0: there are no more. */
  next(out: Uint8Array, to: number): number {
    if (this.#given === this.count) return 0
    const index = this.#given++
    if (this.header === 0) return this.#finishWhole(out, to)
    const from = this.header + index * this.size
    const end = Math.min(this.#length, from + this.size)
    const length = this.header + end - from
    const bytes = this.#bytes
    const at = this.#at
    copy(bytes, at, out, to, this.header)
    copy(bytes, at + from, out, to + this.header, end - from)
    this.#fixNetwork(out, to, length, index)
    this.#fixTransport(out, to, length, index)
    return length
  }

  /** Reads the headers of a frame to be cut. False: they are not what can be cut. */
  #measure(length: number): boolean {
    const bytes = this.#bytes
    const frame = this.#at
    const udp = this.checksumOffset === UDP_CHECKSUM_OFFSET
    if (!udp && this.checksumOffset !== TCP_CHECKSUM_OFFSET) return false
    const network = (this.network = networkOffset(bytes, frame))
    const transport = this.transport
    if (transport + (udp ? UDP_HEADER_LEN : TCP_HEADER_LENGTH) > length) return false
    const type = u16(bytes, frame + network - 2)
    this.v4 = type === ETHERTYPE_IPV4
    if (this.v4) {
      const ip = frame + network
      if (transport < network + IPV4_HEADER_LEN || transport !== network + ((bytes[ip] & 15) << 2))
        return false
      if (bytes[ip + IPV4_PROTOCOL] !== (udp ? IPPROTO_UDP : IPPROTO_TCP)) return false
      if ((u16(bytes, ip + IPV4_FRAGMENT) & (IPV4_MF | IPV4_OFFSET_MASK)) !== 0) return false
    } else if (type !== ETHERTYPE_IPV6 || transport < network + IPV6_HEADER_LEN) return false
    const own = udp ? UDP_HEADER_LEN : dataOffset(bytes, frame + transport)
    if (!udp && own < TCP_HEADER_LENGTH) return false
    this.header = transport + own
    return this.header <= length
  }

  #fixNetwork(out: Uint8Array, to: number, length: number, index: number): void {
    const ip = to + this.network
    if (!this.v4)
      return writeU16(out, ip + IPV6_PAYLOAD_LENGTH, length - this.network - IPV6_HEADER_LEN)
    writeU16(out, ip + IPV4_ID, u16(out, ip + IPV4_ID) + index)
    writeIpv4Length(out, ip, length - this.network)
  }

  #fixTransport(out: Uint8Array, to: number, length: number, index: number): void {
    const transport = to + this.transport
    if (this.checksumOffset === UDP_CHECKSUM_OFFSET)
      writeU16(out, transport + UDP_LENGTH, length - this.transport)
    else {
      writeU32(
        out,
        transport + TCP_SEQUENCE,
        u32(out, transport + TCP_SEQUENCE) + index * this.size,
      )
      // The last one ends the text, the first one answers congestion (RFC 3168 section 6.1.2).
      if (index < this.count - 1) out[transport + TCP_FLAGS] &= ~(FIN | PSH)
      if (index > 0) out[transport + TCP_FLAGS] &= ~CWR
    }
    const field = transport + this.checksumOffset
    writeU16(out, field, fold(this.pseudo + length - this.transport))
    this.#sum(out, to, length)
  }

  #finishWhole(out: Uint8Array, to: number): number {
    copy(this.#bytes, this.#at, out, to, this.#length)
    if (this.transport !== 0) this.#sum(out, to, this.#length)
    return this.#length
  }

  /** UDP's zero would mean that there is none (RFC 768); the other zero says the same of the sum. */
  #sum(out: Uint8Array, to: number, length: number): void {
    const sum = sumBytes(out, to + this.transport, length - this.transport, 0)
    const zero = this.checksumOffset === UDP_CHECKSUM_OFFSET ? 0xffff : 0
    writeU16(out, to + this.transport + this.checksumOffset, finish(sum) || zero)
  }
}

/** Changes an IPv4 packet's length, and sums its header anew. */
export function writeIpv4Length(bytes: Uint8Array, ip: number, length: number): void {
  writeU16(bytes, ip + IPV4_TOTAL_LENGTH, length)
  writeU16(bytes, ip + IPV4_CHECKSUM, 0)
  writeU16(bytes, ip + IPV4_CHECKSUM, checksum(bytes, ip, (bytes[ip] & 15) << 2))
}

/** Up to here a loop is faster than TypedArray.set with its subarray (about 80 ns). */
const LOOP_COPY_MAX = 96

function copy(from: Uint8Array, at: number, out: Uint8Array, to: number, length: number): void {
  if (length > LOOP_COPY_MAX) out.set(from.subarray(at, at + length), to)
  else for (let i = 0; i < length; i++) out[to + i] = from[at + i]
}
