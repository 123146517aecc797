// RST for what belongs to no connection (RFC 9293 section 3.10.7.1).
import {
  ACK,
  FIN,
  RST,
  SYN,
  TCP_CHECKSUM_OFFSET,
  TCP_HEADER_LENGTH,
  writeHeader,
} from '../../../wire/tcp.ts'
import type { Packet } from '../../net/path.ts'
import type { Segment } from './segment.ts'
import { add, seq } from './seq.ts'
import type { Tcp } from './tcp.ts'

/** Answers a segment that nobody expects, unless it is a RST itself. Lost if the link has no room: it is not a promise. */
export function refuse(tcp: Tcp, packet: Packet, seg: Segment): void {
  if (seg.has(RST)) return
  const path = tcp.paths.path(packet.dst(), packet.src())
  if (typeof path === 'number') return
  const at = path.open(TCP_HEADER_LENGTH)
  if (at < 0) return
  const ports = { localPort: seg.dstPort, remotePort: seg.srcPort }
  const length = seg.textLength + (seg.has(SYN) ? 1 : 0) + (seg.has(FIN) ? 1 : 0)
  if (seg.has(ACK)) writeHeader(path.bytes, at, ports, seg.ack, 0, TCP_HEADER_LENGTH, RST, 0)
  else
    writeHeader(
      path.bytes,
      at,
      ports,
      seq(0),
      add(seg.seq, length),
      TCP_HEADER_LENGTH,
      RST | ACK,
      0,
    )
  path.close(TCP_HEADER_LENGTH, 0, TCP_CHECKSUM_OFFSET)
  tcp.counters.resetsOut++
  tcp.counters.segsOut++
}
