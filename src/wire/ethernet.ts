import { writeU16 } from '../base/bytes.ts'
import type { Mac } from './mac.ts'

/** Destination 0, source 6, type 12 (IEEE 802.3 clause 3; type values by IANA). */
export const ETHER_HEADER_LEN = 14
export const ETHERTYPE_IPV4 = 0x0800
export const ETHERTYPE_ARP = 0x0806
export const ETHERTYPE_IPV6 = 0x86dd

export function emitEthernet(
  bytes: Uint8Array,
  at: number,
  dst: Mac,
  src: Mac,
  type: number,
): void {
  dst.write(bytes, at)
  src.write(bytes, at + 6)
  writeU16(bytes, at + 12, type)
}
