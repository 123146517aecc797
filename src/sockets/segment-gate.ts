// Filters of TCP sockets (SO_ATTACH_FILTER): of segments that they do not want TCP never hears. Linux cuts others to what the
// filter says; here they pass whole.
import type { Packet, SegmentGate } from '../stack/stack.ts'
import type { Ground } from './ground.ts'
import { wantedOf } from './messages/filter.ts'
import type { SocketRecord } from './record.ts'

/** From now on: the first filter of a TCP socket was attached. */
export function gateSegments(ground: Ground): void {
  const { tcp } = ground.stack
  tcp.gate ??= new Gate(ground)
}

class Gate implements SegmentGate {
  private readonly ground: Ground

  constructor(ground: Ground) {
    this.ground = ground
  }

  toConnection(tcb: number, packet: Packet): boolean {
    return this.passes(this.ground.streams[this.ground.recordOf[tcb]], packet)
  }

  toListener(id: number, packet: Packet): boolean {
    return this.passes(this.ground.streams[id], packet)
  }

  private passes(s: SocketRecord | undefined, packet: Packet): boolean {
    if (s === undefined || s.filter === undefined) return true
    return wantedOf(this.ground, s, packet, packet.transport, packet.length) > 0
  }
}
