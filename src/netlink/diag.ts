// NETLINK_SOCK_DIAG (sock_diag(7)): the stack's sockets, for ss(8). Of families that are not the stack's there are none.
import { EINVAL, ENOENT, EOPNOTSUPP } from '../base/errno.ts'
import type { SocketView } from '../view/sockets.ts'
import {
  NLM_F_DUMP,
  type NetlinkMessage,
  attribute,
  attributesIn,
  concat,
  i32s,
  u32In,
  u8s,
  viewOf,
  zeroEnded,
} from '../wire/netlink.ts'
import {
  AF_INET,
  AF_INET6,
  AF_UNSPEC,
  type Answer,
  type Context,
  NOTHING,
  addressBytes,
  refuse,
} from './request.ts'
import { type Outcome, answer } from './rtnetlink.ts'

const SOCK_DIAG_BY_FAMILY = 20
/** struct inet_diag_req_v2, inet_diag_msg. */
const INET_DIAG_REQ_LEN = 56
const INET_DIAG_MSG_LEN = 72
/** Families of which ss(8) asks too: AF_UNIX, NETLINK, PACKET, VSOCK, XDP. */
const EMPTY = [1, 16, 17, 40, 44]

const INET_DIAG_REQ_PROTOCOL = 3

const INET_DIAG_MEMINFO = 1
const INET_DIAG_INFO = 2
const INET_DIAG_CONG = 4
const INET_DIAG_SKMEMINFO = 7
const INET_DIAG_SHUTDOWN = 8
const INET_DIAG_SKV6ONLY = 11

export function diagRequest(context: Context, request: NetlinkMessage): Outcome {
  const { type, body, flags } = request
  if (type !== SOCK_DIAG_BY_FAMILY)
    return refuse(type < SOCK_DIAG_BY_FAMILY ? -EINVAL : -EOPNOTSUPP)
  if (body.length < 2) return refuse(-EINVAL)
  const [family] = body
  const isDump = (flags & NLM_F_DUMP) !== 0
  if (isDump && EMPTY.includes(family)) return { list: [] }
  if (family !== AF_INET && family !== AF_INET6) return refuse(-ENOENT)
  if (body.length < INET_DIAG_REQ_LEN) return refuse(-EINVAL)
  return answer(isDump ? dump : find, context, request)
}

/** struct inet_diag_req_v2, but for the address. */
interface Question {
  readonly family: number
  readonly protocol: number
  /** Bits of INET_DIAG_*, less 1. */
  readonly wants: number
  /** Bits of states. */
  readonly states: number
  readonly localPort: number
  readonly remotePort: number
  readonly device: number
}

function questionIn(body: Uint8Array): Question {
  const view = viewOf(body)
  return {
    family: body[0],
    // Numbers that a byte does not hold (MPTCP) come beside it.
    protocol: u32In(attributesIn(body, INET_DIAG_REQ_LEN).get(INET_DIAG_REQ_PROTOCOL)) ?? body[1],
    wants: body[2],
    states: view.getUint32(4, true),
    localPort: view.getUint16(8),
    remotePort: view.getUint16(10),
    device: view.getUint32(44, true),
  }
}

function* dump({ sockets }: Context, { body }: NetlinkMessage): Generator<Answer> {
  const q = questionIn(body)
  for (const s of sockets()) if (matches(s, q)) yield told(s, q)
}

const matches = (s: SocketView, q: Question): boolean =>
  s.protocol === q.protocol &&
  (s.family === q.family || q.family === AF_UNSPEC) &&
  ((q.states >>> s.state) & 1) === 1 &&
  (q.localPort === 0 || q.localPort === s.localPort) &&
  (q.remotePort === 0 || q.remotePort === s.remotePort) &&
  (q.device === 0 || q.device === s.device)

/** One socket, by its names. */
function find({ sockets }: Context, { body }: NetlinkMessage): Answer | ReturnType<typeof refuse> {
  const q = questionIn(body)
  const length = q.family === AF_INET ? 4 : 16
  const has = (at: number, s: Uint8Array) =>
    Buffer.compare(body.subarray(at, at + length), s.subarray(0, length)) === 0
  for (const s of sockets())
    if (
      s.protocol === q.protocol &&
      s.family === q.family &&
      s.localPort === q.localPort &&
      s.remotePort === q.remotePort &&
      has(12, nameBytes(s, s.local)) &&
      has(28, nameBytes(s, s.remote))
    )
      return told(s, q)
  return refuse(-ENOENT)
}

/** An address as the socket's family has it, in 16 bytes. */
function nameBytes({ family }: SocketView, address: SocketView['local']): Uint8Array {
  const bytes = new Uint8Array(16)
  if (family === AF_INET) bytes.set(addressBytes(address).subarray(-4))
  else if (!(address.isV4 && address.isUnspecified)) address.write(bytes, 0)
  return bytes
}

function told(s: SocketView, q: Question): Answer {
  const head = new Uint8Array(INET_DIAG_MSG_LEN)
  const view = viewOf(head)
  head.set([s.family, s.state, s.timer, Math.min(255, s.retransmissions)])
  view.setUint16(4, s.localPort)
  view.setUint16(6, s.remotePort)
  head.set(nameBytes(s, s.local), 8)
  head.set(nameBytes(s, s.remote), 24)
  view.setUint32(40, s.device, true)
  view.setUint32(44, s.cookie[0], true)
  view.setUint32(48, s.cookie[1], true)
  view.setUint32(52, s.expires, true)
  view.setUint32(56, s.receiveQueue, true)
  view.setUint32(60, s.sendQueue, true)
  view.setUint32(64, s.uid, true)
  view.setUint32(68, s.inode, true)
  const wants = (type: number) => ((q.wants >>> (type - 1)) & 1) === 1
  const { info, congestion } = s
  return {
    type: SOCK_DIAG_BY_FAMILY,
    body: concat([
      head,
      attribute(INET_DIAG_SHUTDOWN, u8s(s.shutdown)),
      s.family === AF_INET6 ? attribute(INET_DIAG_SKV6ONLY, u8s(Number(s.v6only))) : NOTHING,
      wants(INET_DIAG_MEMINFO)
        ? attribute(INET_DIAG_MEMINFO, i32s(s.receiveQueue, s.sendQueue, 0, s.sendQueue))
        : NOTHING,
      wants(INET_DIAG_SKMEMINFO) ? attribute(INET_DIAG_SKMEMINFO, memory(s)) : NOTHING,
      wants(INET_DIAG_INFO) && info !== undefined ? attribute(INET_DIAG_INFO, info()) : NOTHING,
      wants(INET_DIAG_CONG) && congestion !== undefined
        ? attribute(INET_DIAG_CONG, zeroEnded(congestion))
        : NOTHING,
    ]),
  }
}

/** SK_MEMINFO_*: rmem_alloc, rcvbuf, wmem_alloc, sndbuf, fwd_alloc, wmem_queued, optmem, backlog, drops. */
const memory = (s: SocketView) =>
  i32s(s.receiveQueue, s.receiveBuffer, s.sendQueue, s.sendBuffer, 0, s.sendQueue, 0, 0, s.drops)
