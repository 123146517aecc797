// All sockets of a stack, for sock_diag(7) and /proc/net: those of programs, and connections that are nobody's any more.
import { fstatSync } from 'node:fs'

import * as libc from '../ffi/libc.ts'
import { congestionName } from '../stack/stack.ts'
import { TCP_CLOSE, TCP_ESTABLISHED, TCP_LISTEN, type SocketView } from '../view/sockets.ts'
import { ANY_V4, ANY_V6, type Address } from '../wire/address.ts'
import type { Ground } from './ground.ts'
import type { MessageSocket } from './messages/message-socket.ts'
import { OPT_RCVBUF, OPT_SNDBUF, OPT_V6ONLY } from './option-rules.ts'
import { type Inodes, unixInodes } from './unix-inodes.ts'
import type { Stream } from './stream.ts'
import * as T from './table.ts'

const IPPROTO_TCP = 6
const INFO_LENGTH = 248

export function* listSockets(ground: Ground): Generator<SocketView> {
  const inodes = unixInodes()
  for (const s of ground.streams)
    if (s !== undefined && s.state === T.LISTENING) yield listener(ground, s, inodes)
  for (const slot of ground.stack.tcp.connections()) yield connection(ground, slot, inodes)
  for (const m of ground.messages.sockets)
    if (m !== undefined && (m.family === libc.AF_INET || m.family === libc.AF_INET6))
      yield message(ground, m, inodes)
}

const OWNER = process.geteuid!()

/** Whose the program's end is. */
function uidOf(fd: number): number {
  return (fd < 0 ? undefined : libc.peerCredentials(fd)?.uid) ?? OWNER
}

/** The program's end: the other one of ours, or that which bears the record's name. */
function inodeOf(ground: Ground, s: Stream | MessageSocket, inodes: Inodes): number {
  if (s.fd >= 0) return inodes.peerOf.get(fstatSync(s.fd).ino) ?? 0
  return inodes.named.get(ground.names.of(s.index, s.generation)) ?? 0
}

const anyOf = (family: number): Address => (family === libc.AF_INET6 ? ANY_V6 : ANY_V4)

const quiet = { device: 0, timer: 0, expires: 0, retransmissions: 0, shutdown: 0, drops: 0 }

function listener(ground: Ground, s: Stream, inodes: Inodes): SocketView {
  const family = s.get(T.FAMILY)
  return {
    ...quiet,
    protocol: IPPROTO_TCP,
    family,
    state: TCP_LISTEN,
    local: s.local,
    localPort: s.get(T.PORT),
    remote: anyOf(family),
    remotePort: 0,
    receiveQueue: ground.undelivered.get(s.index)?.length ?? 0,
    sendQueue: s.get(T.BACKLOG),
    receiveBuffer: 2 * s.options[OPT_RCVBUF],
    sendBuffer: 2 * s.options[OPT_SNDBUF],
    uid: uidOf(s.fd),
    inode: inodeOf(ground, s, inodes),
    cookie: [s.index, s.generation],
    v6only: s.options[OPT_V6ONLY] !== 0,
    info: () => infoOf(ground, -1, true),
    congestion: undefined,
  }
}

function connection(ground: Ground, slot: number, inodes: Inodes): SocketView {
  const { tcp } = ground.stack
  const s = ground.streams[ground.recordOf[slot]]
  const local = tcp.localAddress(slot)
  const { timer, at, tries } = tcp.deadline(slot)
  return {
    ...quiet,
    protocol: IPPROTO_TCP,
    family: s?.get(T.FAMILY) ?? (local.isV4 ? libc.AF_INET : libc.AF_INET6),
    state: tcp.stateNumber(slot),
    local,
    localPort: tcp.localPort(slot),
    remote: tcp.remoteAddress(slot),
    remotePort: tcp.remotePort(slot),
    receiveQueue: s?.rx.used ?? 0,
    sendQueue: tcp.unsent(slot) + tcp.inFlight(slot),
    receiveBuffer: 2 * (s?.options[OPT_RCVBUF] ?? 0),
    sendBuffer: 2 * (s?.options[OPT_SNDBUF] ?? 0),
    uid: s === undefined ? 0 : uidOf(s.fd),
    inode: s === undefined ? 0 : inodeOf(ground, s, inodes),
    cookie: s === undefined ? [slot, 0x80000000] : [s.index, s.generation],
    timer,
    expires: timer === 0 ? 0 : Math.max(0, Math.round(at - ground.now)),
    retransmissions: tries,
    v6only: s !== undefined && s.options[OPT_V6ONLY] !== 0,
    shutdown: s === undefined ? 0 : Number(s.has(T.SHUT_RD)) + 2 * Number(s.has(T.SHUT_WR)),
    info: () => infoOf(ground, slot, false),
    congestion: congestionName(tcp.option(slot, 'congestion')),
  }
}

function infoOf(ground: Ground, slot: number, listening: boolean): Uint8Array {
  const info = new Uint8Array(INFO_LENGTH)
  ground.stack.tcp.info(slot, listening, info, ground.now)
  return info
}

function message(ground: Ground, m: MessageSocket, inodes: Inodes): SocketView {
  const waits = m.queuedBytes + (m.fd < 0 ? 0 : Math.max(0, libc.outQueue(m.fd)))
  return {
    ...quiet,
    protocol: m.protocol || IPPROTO_UDP,
    family: m.family,
    state: m.connected ? TCP_ESTABLISHED : TCP_CLOSE,
    local: m.local,
    localPort: m.get(T.PORT),
    remote: m.connected ? m.remote : anyOf(m.family),
    remotePort: m.connected ? m.get(T.REMOTE_PORT) : 0,
    receiveQueue: waits,
    sendQueue: 0,
    receiveBuffer: 2 * m.options[OPT_RCVBUF],
    sendBuffer: 2 * m.options[OPT_SNDBUF],
    uid: uidOf(m.fd),
    inode: inodeOf(ground, m, inodes),
    cookie: [m.index, m.generation],
    v6only: m.options[OPT_V6ONLY] !== 0,
    drops: m.drops,
    info: undefined,
    congestion: undefined,
  }
}

const IPPROTO_UDP = 17
