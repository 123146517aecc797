// The checksum of what arrives for a transport protocol, over pseudo-header and all (RFC 9293 section 3.1, RFC 768,
// RFC 8200 section 8.1), without objects for the addresses.
import { fold, pseudoSumV4, sumBytes } from '../../wire/checksum.ts'
import type { Packet } from '../net/path.ts'

/** Is the checksum of the first `length` bytes right, or is there no need to look? */
export function checksumOk(packet: Packet, protocol: number, length: number): boolean {
  if (packet.checksumValid) return true
  const sum = pseudoSum(packet, protocol) + length
  return sumBytes(packet.bytes, packet.transport, length, sum) === 0xffff
}

function pseudoSum(packet: Packet, protocol: number): number {
  const last = pseudoSumV4(packet.srcWord(3), packet.dstWord(3), protocol)
  if (packet.family === 4) return last
  let sum = last
  for (let i = 0; i < 3; i++) sum += pseudoSumV4(packet.srcWord(i), packet.dstWord(i), 0)
  return fold(sum)
}
