// virtio_net_hdr as the kernel's tap devices put it before a frame (virtio 1.2, section 5.1.6; 10 bytes, little-endian):
// flags, gso_type, hdr_len, gso_size, csum_start, csum_offset. What it says of a frame is checked before it is used.
import { u16 } from '../base/bytes.ts'
import {
  VIRTIO_NET_HDR_F_DATA_VALID,
  VIRTIO_NET_HDR_F_NEEDS_CSUM,
  VIRTIO_NET_HDR_GSO_ECN,
  VIRTIO_NET_HDR_GSO_NONE,
  VIRTIO_NET_HDR_GSO_TCPV4,
  VIRTIO_NET_HDR_GSO_TCPV6,
  VIRTIO_NET_HDR_GSO_UDP_L4,
} from '../ring/frame-ring.ts'
import { CHECKSUM_UNKNOWN, CHECKSUM_VALID } from '../stack/link/sink.ts'
import { ETHER_HEADER_LEN, ETHERTYPE_IPV6 } from '../wire/ethernet.ts'
import {
  controlBits,
  CWR,
  dataOffset,
  TCP_CHECKSUM_OFFSET,
  TCP_HEADER_LENGTH,
} from '../wire/tcp.ts'
import { networkOffset, UDP_CHECKSUM_OFFSET } from '../wire/segment.ts'
import { UDP_HEADER_LEN } from '../wire/udp.ts'

export const VNET_HEADER = 10

/** The header parsed last: one object, used again. The fields are FrameHandler's. */
export class VnetHeader {
  checksum = CHECKSUM_UNKNOWN
  gsoSize = 0
  checksumStart = 0
  checksumOffset = 0

  /** Parses the header at `at`, `length` bytes of frame behind it. False: the frame cannot be what it says. */
  parse(bytes: Uint8Array, at: number, length: number): boolean {
    const flags = bytes[at]
    const trusted = VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID
    this.checksum = (flags & trusted) === 0 ? CHECKSUM_UNKNOWN : CHECKSUM_VALID
    this.gsoSize = this.checksumStart = this.checksumOffset = 0
    if (length < ETHER_HEADER_LEN) return false
    const gsoType = bytes[at + 1] & ~VIRTIO_NET_HDR_GSO_ECN
    if ((flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) === 0) return gsoType === VIRTIO_NET_HDR_GSO_NONE
    this.checksumStart = le16(bytes, at + 6)
    this.checksumOffset = le16(bytes, at + 8)
    if (this.checksumStart < ETHER_HEADER_LEN) return false
    if (this.checksumStart + this.checksumOffset + 2 > length) return false
    if (gsoType === VIRTIO_NET_HDR_GSO_NONE) return true
    this.gsoSize = le16(bytes, at + 4)
    if (this.gsoSize === 0) return false
    if (gsoType === VIRTIO_NET_HDR_GSO_UDP_L4)
      return (
        this.checksumOffset === UDP_CHECKSUM_OFFSET && this.checksumStart + UDP_HEADER_LEN <= length
      )
    return (
      (gsoType === VIRTIO_NET_HDR_GSO_TCPV4 || gsoType === VIRTIO_NET_HDR_GSO_TCPV6) &&
      this.checksumOffset === TCP_CHECKSUM_OFFSET &&
      this.checksumStart + TCP_HEADER_LENGTH <= length
    )
  }
}

/** Writes the header for the frame at `frame`, which is as FrameSink.close() has it. */
export function writeVnetHeader(
  bytes: Uint8Array,
  at: number,
  frame: number,
  length: number,
  gsoSize: number,
  checksumStart: number,
  checksumOffset: number,
): void {
  bytes.fill(0, at, at + VNET_HEADER)
  if (checksumStart === 0) return
  bytes[at] = VIRTIO_NET_HDR_F_NEEDS_CSUM
  writeLe16(bytes, at + 6, checksumStart)
  writeLe16(bytes, at + 8, checksumOffset)
  if (gsoSize === 0) return
  const transport = frame + checksumStart
  const udp = checksumOffset === UDP_CHECKSUM_OFFSET
  const header = checksumStart + (udp ? UDP_HEADER_LEN : dataOffset(bytes, transport))
  if (length <= header + gsoSize) return
  bytes[at + 1] = udp ? VIRTIO_NET_HDR_GSO_UDP_L4 : tcpType(bytes, frame, transport)
  writeLe16(bytes, at + 2, header)
  writeLe16(bytes, at + 4, gsoSize)
}

function tcpType(bytes: Uint8Array, frame: number, transport: number): number {
  const ip = frame + networkOffset(bytes, frame)
  const type =
    u16(bytes, ip - 2) === ETHERTYPE_IPV6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4
  // Only the first segment carries CWR on (RFC 3168 section 6.1.2).
  return (controlBits(bytes, transport) & CWR) === 0 ? type : type | VIRTIO_NET_HDR_GSO_ECN
}

const le16 = (bytes: Uint8Array, i: number): number => bytes[i] | (bytes[i + 1] << 8)

function writeLe16(bytes: Uint8Array, i: number, value: number): void {
  bytes[i] = value
  bytes[i + 1] = value >>> 8
}
