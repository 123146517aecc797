// socket(2) for what is no stream: which kind it is, its record and row.
import { EAFNOSUPPORT, EINVAL, ENFILE, EPROTONOSUPPORT, ESOCKTNOSUPPORT } from '../../base/errno.ts'
import * as libc from '../../ffi/libc.ts'
import { IPPROTO_ICMP } from '../../wire/ipv4.ts'
import { IPPROTO_ICMPV6 } from '../../wire/ipv6.ts'
import { MODE_NATIVE, RECORD, RECORD_OPEN } from '../../shm/layout.ts'
import type { Call } from '../calls.ts'
import { recoverFilter } from '../filters.ts'
import type { Ground } from '../ground.ts'
import { IPPROTO_IP, IPPROTO_UDP } from '../option-rules.ts'
import { watch } from '../native.ts'
import * as T from '../table.ts'
import { flush, sizeEnd } from './deliver.ts'
import type { KindOf } from './kind.ts'
import { MessageSocket } from './message-socket.ts'
import { AF_NETLINK, netlinkKind } from './netlink.ts'
import { AF_PACKET, packetKind } from './packet.ts'
import { claimRing } from './packet-ring.ts'
import { pingSocket } from './ping.ts'
import { rawSocket } from './raw.ts'
import { takeMessages } from './take.ts'
import { udpSocket } from './udp.ts'

const IPPROTO_MAX = 263
const SOCK_RAW = 3

/** Each family's kinds: by type and protocol, in the order in which socket(2) looks. Or a negative errno. */
function kindOf(family: number, type: number, protocol: number): KindOf | number {
  if (family === AF_NETLINK) return netlinkKind(type, protocol)
  if (family === AF_PACKET) return packetKind(type)
  if (family !== libc.AF_INET && family !== libc.AF_INET6) return -EAFNOSUPPORT
  if (protocol < 0 || protocol >= IPPROTO_MAX) return -EINVAL
  if (type === libc.SOCK_DGRAM) {
    if (protocol === IPPROTO_IP || protocol === IPPROTO_UDP) return udpSocket
    const ping = family === libc.AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP
    return protocol === ping ? pingSocket : -EPROTONOSUPPORT
  }
  if (type === SOCK_RAW) return protocol === IPPROTO_IP ? -EPROTONOSUPPORT : rawSocket
  return -ESOCKTNOSUPPORT
}

/** SO_PROTOCOL tells the protocol that 0 stood for; of packet sockets it says nothing. */
function protocolOf(family: number, type: number, protocol: number): number {
  if (family === AF_PACKET) return 0
  const stands = family !== AF_NETLINK && protocol === IPPROTO_IP && type === libc.SOCK_DGRAM
  return stands ? IPPROTO_UDP : protocol
}

/** socket(2). The record's number, or a negative errno; call.generation is set. */
export function openMessageSocket(ground: Ground, call: Call): number {
  const [family, type, protocol, mode] = call.arg
  const kind = kindOf(family, type, protocol)
  if (typeof kind === 'number') return kind
  const index = ground.table.alloc()
  if (index < 0) {
    ground.counters.noRecords++
    return -ENFILE
  }
  const m = new MessageSocket(ground.region, ground.table, index)
  m.set(T.STATE, T.MESSAGES)
  m.set(T.FAMILY, family)
  m.set(T.TYPE, type)
  m.set(T.PROTOCOL, protocol)
  m.set(T.FLAGS, T.OWN_NAME)
  m.madeBy(call.slot, ground.now)
  m.clearRecord()
  m.shareKind(family, type, protocolOf(family, type, protocol))
  m.bake([ground.random(), ground.random(), ground.random(), ground.random()])
  m.forgetChecks()
  if (mode === MODE_NATIVE || ground.plug === 0) goBare(m)
  ground.messages.sockets[index] = m
  m.kind = kind(ground, m)
  m.share(RECORD.state, RECORD_OPEN)
  call.generation = m.generation
  return index
}

/** Everybody who reads is to find text only. */
export function goBare(m: MessageSocket): void {
  m.mark(T.NATIVE)
  m.share(RECORD.mode, MODE_NATIVE)
}

/** The program's socket has connected to ours, `fd`. */
export function attachMessages(ground: Ground, m: MessageSocket, fd: number): void {
  if (m.fd >= 0) return void libc.close(fd)
  m.set(T.FD, fd)
  sizeEnd(m)
  watch(ground, m, libc.EPOLL_CTL_ADD)
  flush(ground, m)
  takeMessages(ground, m)
}

/** Before any memory of the region is given to others. */
export function claimPacketRings(ground: Ground): void {
  for (const index of ground.table.live()) {
    const m = new MessageSocket(ground.region, ground.table, index)
    if (m.get(T.STATE) === T.MESSAGES && m.family === AF_PACKET) claimRing(ground, m)
  }
}

/** A new stack thread takes up the message sockets of the one before it. What lay in queues here is lost. */
export function recoverMessages(ground: Ground): void {
  for (const index of ground.table.live()) {
    const m = new MessageSocket(ground.region, ground.table, index)
    if (m.get(T.STATE) !== T.MESSAGES) continue
    const kind = kindOf(m.family, m.type, m.protocol)
    if (typeof kind === 'number') throw new Error(`record ${index} is of no kind`)
    m.recall()
    recoverFilter(ground, m)
    // What was to wake somebody may have been in a queue here.
    if (m.peek(RECORD.ring_size) === 0) m.share(RECORD.rung, 0)
    m.recovering = true
    ground.messages.sockets[index] = m
    m.kind = kind(ground, m)
    m.kind.recover()
    m.recovering = false
    m.forgetChecks()
    if (m.fd < 0) continue
    watch(ground, m, libc.EPOLL_CTL_MOD)
    ground.messages.unread.add(m)
  }
}
