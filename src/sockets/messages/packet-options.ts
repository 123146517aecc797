// SOL_PACKET (packet(7)): which options there are, and the columns of MessageSocket.options that hold their values.
import { KIND_COLUMNS } from './ip-options.ts'

export const SOL_PACKET = 263

export const PACKET_ADD_MEMBERSHIP = 1
export const PACKET_DROP_MEMBERSHIP = 2
export const PACKET_RX_RING = 5
export const PACKET_STATISTICS = 6
export const PACKET_VERSION = 10
export const PACKET_HDRLEN = 11
export const PACKET_RESERVE = 12

export const TPACKET_V1 = 0
export const TPACKET_V2 = 1

const FIRST = KIND_COLUMNS
export const PROTOCOL = FIRST
export const BOUND_DEVICE = FIRST + 1
export const AUXDATA = FIRST + 2
export const ORIGDEV = FIRST + 3
export const IGNORE_OUTGOING = FIRST + 4
export const VERSION = FIRST + 5
export const RESERVE = FIRST + 6
/** PACKET_STATISTICS: since it was last asked for. */
export const SEEN = FIRST + 7
export const DROPPED = FIRST + 8
/** The ring: where it is, how it is laid out, the next slot. */
export const RING_GEOM = FIRST + 9
export const RING_BLOCK_SIZE = FIRST + 10
export const RING_FRAME_SIZE = FIRST + 11
export const RING_FRAMES = FIRST + 12
export const RING_HEAD = FIRST + 13

export interface PacketOption {
  readonly column: number
  /** What is set. A flag is 1, whatever was given. */
  readonly kind: 'flag' | 'int'
  readonly min?: number
  readonly max?: number
  /** May be set while there is no ring only. */
  readonly early?: true
  /** A value of another size than four bytes is wrong. */
  readonly exact?: true
  readonly writeOnly?: true
}

/** Those that are an int and no more. */
export const OPTIONS: ReadonlyMap<number, PacketOption> = new Map<number, PacketOption>([
  [7, { column: FIRST + 15, kind: 'int', exact: true, writeOnly: true }], // PACKET_COPY_THRESH
  [8, { column: AUXDATA, kind: 'flag' }],
  [9, { column: ORIGDEV, kind: 'flag' }],
  [
    PACKET_VERSION,
    { column: VERSION, kind: 'int', min: 0, max: TPACKET_V2, early: true, exact: true },
  ],
  [PACKET_RESERVE, { column: RESERVE, kind: 'int', min: 0, early: true, exact: true }],
  [14, { column: FIRST + 16, kind: 'flag', early: true, exact: true }], // PACKET_LOSS
  [17, { column: FIRST + 17, kind: 'int', exact: true }], // PACKET_TIMESTAMP
  [20, { column: FIRST + 18, kind: 'flag', exact: true }], // PACKET_QDISC_BYPASS
  [23, { column: IGNORE_OUTGOING, kind: 'int', min: 0, max: 1, exact: true }],
])
