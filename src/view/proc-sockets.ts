// /proc/net/{tcp,tcp6,udp,udp6} (proc(5)), to the column as Linux writes them.
import type { Address } from '../wire/address.ts'
import { ANY_V6 } from '../wire/address.ts'
import { type SocketView, TCP_ESTABLISHED, TCP_LISTEN } from './sockets.ts'

const AF_INET = 2
const AF_INET6 = 10
const IPPROTO_TCP = 6
const IPPROTO_UDP = 17
/** Without the newline; IPv6's lines end where they end. */
const TCP_LINE = 149
const UDP_LINE = 127
const REST = 'st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode'
const NAMES6 = 'local_address                         remote_address                       '

const HEX = (n: number, width: number): string =>
  (n >>> 0).toString(16).toUpperCase().padStart(width, '0')
/** A word of an address as a little-endian machine prints it. */
export const swapped = (word: number): string =>
  HEX(((word & 0xff) << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24), 8)

/** As the socket's family has it: IPv4 may be mapped, and nothing is nothing in both. */
function name(family: number, address: Address, port: number): string {
  if (family === AF_INET) return `${swapped(address.d)}:${HEX(port, 4)}`
  const a = address.isV4 && address.isUnspecified ? ANY_V6 : address
  const words = a.isV4 ? [0, 0, 0xffff, a.d] : [0, 1, 2, 3].map(i => a.word(i))
  return `${words.map(swapped).join('')}:${HEX(port, 4)}`
}

/** What all have. Times are in 1/100 s. */
function common(s: SocketView, sl: string): string {
  const names = `${name(s.family, s.local, s.localPort)} ${name(s.family, s.remote, s.remotePort)}`
  const sending = s.state === TCP_LISTEN ? 0 : s.sendQueue
  const timer = `${HEX(s.timer, 2)}:${HEX(Math.round(s.expires / 10), 8)}`
  const numbers = `${HEX(s.state, 2)} ${HEX(sending, 8)}:${HEX(s.receiveQueue, 8)} ${timer}`
  const owner = `${String(s.uid).padStart(5)} ${'0'.padStart(8)} ${s.inode}`
  return `${sl}: ${names} ${numbers} ${HEX(s.retransmissions, 8)} ${owner}`
}

const POINTER = '0'.repeat(16)

/** RTO, ATO, quick acknowledgments, cwnd, ssthresh: of struct tcp_info. */
function tcpTail(s: SocketView): string {
  const bytes = s.info?.()
  if (bytes === undefined || s.state !== TCP_ESTABLISHED)
    return s.state === TCP_LISTEN ? ' 100 0 0 10 0' : ''
  const info = new DataView(bytes.buffer, bytes.byteOffset)
  const u32 = (at: number) => info.getUint32(at, true)
  const ticks = (us: number) => Math.round(us / 10_000)
  const ssthresh = u32(76) === 0x7fffffff ? -1 : u32(76)
  return ` ${ticks(u32(8))} ${ticks(u32(12))} 0 ${u32(80)} ${ssthresh}`
}

function table(
  sockets: Iterable<SocketView>,
  protocol: number,
  family: number,
  head: string,
  line: (s: SocketView, i: number) => string,
  width: number,
): string {
  const ours = [...sockets].filter(s => s.protocol === protocol && s.family === family)
  return [head, ...ours.map(line)]
    .map(text => `${text.padEnd(family === AF_INET ? width : 0)}\n`)
    .join('')
}

const tcp = (sockets: Iterable<SocketView>, family: number): string =>
  table(
    sockets,
    IPPROTO_TCP,
    family,
    family === AF_INET ? `  sl  local_address rem_address   ${REST}` : `  sl  ${NAMES6} ${REST}`,
    (s, i) => `${common(s, String(i).padStart(4))} 1 ${POINTER}${tcpTail(s)}`,
    TCP_LINE,
  )

const udp = (sockets: Iterable<SocketView>, family: number): string =>
  table(
    sockets,
    IPPROTO_UDP,
    family,
    `${family === AF_INET ? '   sl  local_address rem_address  ' : `  sl  ${NAMES6}`} ${REST} ref pointer drops`,
    (s, i) => `${common(s, String(i).padStart(5))} 2 ${POINTER} ${s.drops}`,
    UDP_LINE,
  )

/** Names, and what stands there. preload/paths.c has the same names. */
export const socketFiles: readonly (readonly [string, (s: Iterable<SocketView>) => string])[] = [
  ['tcp', s => tcp(s, AF_INET)],
  ['tcp6', s => tcp(s, AF_INET6)],
  ['udp', s => udp(s, AF_INET)],
  ['udp6', s => udp(s, AF_INET6)],
]
