// Files of /proc/net (proc(5)), to the column as Linux writes them.
import type { Stack } from '../stack/stack.ts'
import { type Address } from '../wire/address.ts'
import { formatAddress } from '../wire/address-text.ts'
import { swapped } from './proc-sockets.ts'
import { ARPHRD_ETHER, type AddressView, addresses, interfaces } from './interfaces.ts'
import {
  type NeighborView,
  NUD_INCOMPLETE,
  NUD_FAILED,
  NUD_PERMANENT,
  neighbors,
} from './neighbors.ts'
import { RTN_LOCAL, RTN_MULTICAST, TABLE_MAIN, type RouteView, routes } from './routes.ts'

const hex = (n: number, width: number): string => (n >>> 0).toString(16).padStart(width, '0')
const HEX = (n: number, width: number): string => hex(n, width).toUpperCase()
const hex6 = (a: Address): string => [0, 1, 2, 3].map(i => hex(a.word(i), 8)).join('')
const macText = (mac: Uint8Array): string => Array.from(mac, byte => hex(byte, 2)).join(':')
const nameOf = (stack: Stack, index: number): string =>
  interfaces(stack).find(link => link.index === index)?.name ?? `if${index}`

const DEV_HEAD = `\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
`

function dev(stack: Stack): string {
  const lines = interfaces(stack).map(({ name, counters: c }) => {
    const n = (value: number, width: number) => String(value).padStart(width)
    const received = `${n(c.bytesIn, 7)} ${n(c.packetsIn, 7)} ${n(c.errorsIn, 4)} ${n(c.droppedIn, 4)}`
    const sent = `${n(c.bytesOut, 8)} ${n(c.packetsOut, 7)} ${n(0, 4)} ${n(c.droppedOut, 4)}`
    const last = `${n(0, 4)} ${n(0, 5)} ${n(0, 10)} ${n(c.multicastIn, 9)}`
    return `${name.padStart(6)}: ${received} ${last} ${sent} ${n(0, 4)} ${n(0, 5)} ${n(0, 7)} ${n(0, 10)}\n`
  })
  return DEV_HEAD + lines.join('')
}

const RTF_UP = 1
const RTF_GATEWAY = 2
const RTF_HOST = 4
const RTF_EXPIRES = 0x400000
const RTF_LOCAL = 0x80000000
/** Of /proc/net/route, the newline not counted. */
const ROUTE_LINE = 127

const ROUTE_HEAD = 'Iface,Destination,Gateway ,Flags,RefCnt,Use,Metric,Mask,,MTU,Window,IRTT'.split(
  ',',
)

function route(stack: Stack, now: number): string {
  const line = (fields: string[]) => `${fields.join('\t').padEnd(ROUTE_LINE)}\n`
  const main = routes(stack, now).filter(r => r.table === TABLE_MAIN && r.destination.isV4)
  return line(ROUTE_HEAD) + main.map(r => line(route4(stack, r))).join('')
}

function route4(stack: Stack, r: RouteView): string[] {
  const host = r.prefixLength === 32 ? RTF_HOST : 0
  const flags = RTF_UP | host | (r.gateway ? RTF_GATEWAY : 0)
  const mask = r.prefixLength === 0 ? 0 : -1 << (32 - r.prefixLength)
  return [
    nameOf(stack, r.index),
    swapped(r.destination.d),
    swapped(r.gateway?.d ?? 0),
    HEX(flags, 4),
    '0',
    '0',
    String(r.metric),
    swapped(mask),
    '0',
    '0',
    '0',
  ]
}

function route6(stack: Stack, r: RouteView): string {
  const host = r.prefixLength === 128 && r.type !== RTN_LOCAL ? RTF_HOST : 0
  const flags =
    RTF_UP |
    host |
    (r.gateway ? RTF_GATEWAY : 0) |
    (r.expires === Infinity ? 0 : RTF_EXPIRES) |
    (r.type === RTN_LOCAL ? RTF_LOCAL : 0)
  const metric = r.type === RTN_LOCAL ? 0 : r.metric
  const none = `${'0'.repeat(32)} 00`
  const gateway = r.gateway ? hex6(r.gateway) : '0'.repeat(32)
  const way = `${hex6(r.destination)} ${hex(r.prefixLength, 2)} ${none} ${gateway}`
  const numbers = `${hex(metric, 8)} 00000001 00000000 ${hex(flags, 8)}`
  return `${way} ${numbers} ${nameOf(stack, r.index).padStart(8)}\n`
}

const ipv6Route = (stack: Stack, now: number): string =>
  routes(stack, now)
    .filter(r => !r.destination.isV4 && (r.table === TABLE_MAIN || r.type !== RTN_MULTICAST))
    .map(r => route6(stack, r))
    .join('')

/** IFA_F_*, and the scope as net/ipv6.h has it. */
const IFA_F_DADFAILED = 8
const IFA_F_DEPRECATED = 0x20
const IFA_F_TENTATIVE = 0x40
const IFA_F_PERMANENT = 0x80
const SCOPE6 = { host: 0x10, link: 0x20, global: 0 }

function addressFlags(a: AddressView): number {
  const state = {
    TENTATIVE: IFA_F_TENTATIVE,
    DUPLICATED: IFA_F_DADFAILED,
    DEPRECATED: IFA_F_DEPRECATED,
  }
  const known = Object.entries(state).find(([name]) => name === a.state)
  return (known?.[1] ?? 0) | (a.valid === Infinity ? IFA_F_PERMANENT : 0)
}

const ifInet6 = (stack: Stack, now: number): string =>
  addresses(stack, now)
    .filter(a => !a.address.isV4)
    .map(a => {
      const scope =
        a.origin === 'loopback' ? SCOPE6.host : a.scope === 0 ? SCOPE6.global : SCOPE6.link
      const numbers = [a.index, a.prefixLength, scope, addressFlags(a)]
        .map(n => hex(n, 2))
        .join(' ')
      return `${hex6(a.address)} ${numbers} ${nameOf(stack, a.index).padStart(8)}\n`
    })
    .join('')

const ARP_HEAD = 'IP address       HW type     Flags       HW address            Mask     Device\n'
const ATF_COM = 2
const ATF_PERM = 4

function arpLine(stack: Stack, n: NeighborView): string {
  const known = (n.state & (NUD_INCOMPLETE | NUD_FAILED)) === 0
  const flags = (known ? ATF_COM : 0) | (n.state === NUD_PERMANENT ? ATF_PERM : 0)
  const mac = macText(known && n.mac ? n.mac : new Uint8Array(6))
  const ip = formatAddress(n.address).padEnd(16)
  const numbers = `0x${hex(ARPHRD_ETHER, 1).padEnd(10)}0x${hex(flags, 1).padEnd(10)}`
  return `${ip} ${numbers}${mac.padEnd(22)}*        ${nameOf(stack, n.index)}\n`
}

const arp = (stack: Stack, now: number): string =>
  ARP_HEAD +
  neighbors(stack, now)
    .filter(n => n.address.isV4)
    .map(n => arpLine(stack, n))
    .join('')

/** Names, and what stands there at `now` (ms of the stack's clock). preload/paths.c has the same names. */
export const procFiles: readonly (readonly [string, (stack: Stack, now: number) => string])[] = [
  ['arp', arp],
  ['dev', dev],
  ['if_inet6', ifInet6],
  ['ipv6_route', ipv6Route],
  ['route', route],
]
