// Netlink sockets (netlink(7)): NETLINK_ROUTE and NETLINK_SOCK_DIAG. The kernel's side of them is the stack's. What a program sends is
// answered at once, in order; only the parts of a dump are made as the program reads them, so a dump of any length needs no room.
import {
  EADDRINUSE,
  EBUSY,
  ECONNREFUSED,
  EINVAL,
  ENOBUFS,
  EMSGSIZE,
  ENODATA,
  ENOPROTOOPT,
  EOPNOTSUPP,
  EPERM,
  EPROTONOSUPPORT,
  ESOCKTNOSUPPORT,
} from '../../base/errno.ts'
import * as libc from '../../ffi/libc.ts'
import { diagRequest } from '../../netlink/diag.ts'
import type { News as Event } from '../../netlink/monitor.ts'
import type { Answer, Context } from '../../netlink/request.ts'
import { type Outcome, routeRequest } from '../../netlink/rtnetlink.ts'
import { RECORD } from '../../shm/layout.ts'
import {
  NLMSG_DONE,
  NLMSG_MIN_TYPE,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_ECHO,
  NLM_F_MULTI,
  NLM_F_REQUEST,
  type NetlinkMessage,
  concat,
  i32s,
  messagesIn,
  netlinkError,
  netlinkMessage,
  viewOf,
} from '../../wire/netlink.ts'
import type { Call } from '../calls.ts'
import type { Ground } from '../ground.ts'
import { giveInt, intOf, SOL_SOCKET } from '../option-rules.ts'
import { listSockets } from '../list-sockets.ts'
import * as T from '../table.ts'
import { deliver, deliverError } from './deliver.ts'
import { wantedOfMessage } from './filter.ts'
import { MSG_OOB } from './flags.ts'
import type { Inbound } from './inbound.ts'
import { defaultOptions, getIpOption, KIND_COLUMNS, NOWHERE, setIpOption } from './ip-options.ts'
import type { Kind, KindOf } from './kind.ts'
import type { MessageSocket } from './message-socket.ts'
import { type Listener, News } from './netlink-news.ts'

export const AF_NETLINK = 16
export const NETLINK_ROUTE = 0
export const NETLINK_SOCK_DIAG = 4
const SOL_NETLINK = 270
const SO_PASSCRED = 16
const SCM_CREDENTIALS = 2
/** struct ucred. */
const UCRED_LEN = 12

const NETLINK_ADD_MEMBERSHIP = 1
const NETLINK_DROP_MEMBERSHIP = 2
const NETLINK_PKTINFO = 3
const NETLINK_BROADCAST_ERROR = 4
const NETLINK_NO_ENOBUFS = 5
const NETLINK_LISTEN_ALL_NSID = 8
const NETLINK_LIST_MEMBERSHIPS = 9
const NETLINK_CAP_ACK = 10
const NETLINK_EXT_ACK = 11
const NETLINK_GET_STRICT_CHK = 12

/** Columns of MessageSocket.options. */
const COLUMNS = new Map([
  [NETLINK_PKTINFO, KIND_COLUMNS],
  [NETLINK_BROADCAST_ERROR, KIND_COLUMNS + 1],
  [NETLINK_NO_ENOBUFS, KIND_COLUMNS + 2],
  [NETLINK_CAP_ACK, KIND_COLUMNS + 3],
  [NETLINK_EXT_ACK, KIND_COLUMNS + 4],
  [NETLINK_GET_STRICT_CHK, KIND_COLUMNS + 5],
])
const PKTINFO = KIND_COLUMNS
const NO_ENOBUFS = KIND_COLUMNS + 2
const CAP_ACK = KIND_COLUMNS + 3
const EXT_ACK = KIND_COLUMNS + 4
const STRICT = KIND_COLUMNS + 5
/** Two words of groups that it is in. */
const GROUPS = KIND_COLUMNS + 6
/** A dump is not at its end. */
const DUMPING = KIND_COLUMNS + 9
/** Has a port id, which T.PORT is. */
const HAS_ID = KIND_COLUMNS + 8
const PASSCRED = KIND_COLUMNS + 10

/** RTNLGRP_MAX and, of sock_diag, SKNLGRP_MAX. */
const MOST_GROUPS: Readonly<Record<number, number>> = {
  [NETLINK_ROUTE]: 38,
  [NETLINK_SOCK_DIAG]: 4,
}
/** struct sockaddr_nl. */
const SOCKADDR_NL_LEN = 12
/**
 * What Linux puts into one part for who has read with small buffers so far (NLMSG_GOODSIZE): programs that read with a page
 * lose nothing.
 */
const PART = 3776
const MOST_REQUEST = 65535
const SOCK_RAW = 3
const SOCK_TYPES = [libc.SOCK_DGRAM, SOCK_RAW]

interface Dump {
  readonly answers: Iterator<Answer>
  /** Read, but found no room in the part before. */
  next: Uint8Array | undefined
  readonly request: NetlinkMessage
}

class NetlinkSocket implements Kind, Listener {
  private readonly ground: Ground
  private readonly m: MessageSocket
  private dump: Dump | undefined

  constructor(ground: Ground, m: MessageSocket) {
    this.ground = ground
    this.m = m
    if (m.recovering) return
    defaultOptions(m)
    this.name(RECORD.local, 0, 0)
  }

  // ---- names

  /** As getsockname(2) or getpeername(2) tell it. */
  private name(field: number, id: number, groups: number): void {
    const bytes = new Uint8Array(SOCKADDR_NL_LEN)
    const view = viewOf(bytes)
    view.setUint16(0, AF_NETLINK, true)
    view.setUint32(4, id, true)
    view.setUint32(8, groups, true)
    this.m.shareSockaddr(field, bytes)
  }

  private get id(): number {
    return this.m.get(T.PORT) >>> 0
  }

  bind(call: Call): number {
    const { m } = this
    const to = sockaddrIn(call.data, call.length)
    if (typeof to === 'number') return to
    if (m.options[HAS_ID] !== 0) {
      if (to.id !== this.id) return -EINVAL
    } else {
      const r = this.takeId(to.id)
      if (r < 0) return r
    }
    m.options[GROUPS] = to.groups & this.groupMask
    this.groupsChanged()
    return 0
  }

  /** 0: the process's, else any that is free. */
  private takeId(wanted: number): number {
    const { ground, m } = this
    const isTaken = (id: number) =>
      ground.messages.sockets.some(
        other =>
          other !== undefined &&
          other.family === AF_NETLINK &&
          other.protocol === m.protocol &&
          other.options[HAS_ID] !== 0 &&
          other.get(T.PORT) === (id | 0),
      )
    if (wanted !== 0 && isTaken(wanted)) return -EADDRINUSE
    let id = wanted || (m.fd < 0 ? 0 : (libc.peerCredentials(m.fd)?.pid ?? 0))
    // As Linux: numbers that are no process's.
    while (id === 0 || (wanted === 0 && isTaken(id))) id = (ground.random() | 0x80000000) >>> 0
    m.set(T.PORT, id | 0)
    m.options[HAS_ID] = 1
    this.name(RECORD.local, id, m.options[GROUPS])
    return 0
  }

  connect(call: Call): number {
    const to = sockaddrIn(call.data, call.length)
    if (typeof to === 'number') return to
    if (to.id !== 0 || to.groups !== 0) return -EPERM
    if (this.m.options[HAS_ID] === 0) this.takeId(0)
    return 0
  }

  disconnect(): number {
    return 0
  }

  // ---- requests

  check(message: Inbound): number {
    if ((message.flags & MSG_OOB) !== 0) return -EOPNOTSUPP
    const { nameLength, nameAt, bytes } = message
    if (nameLength > 0) {
      const to = sockaddrIn(bytes.subarray(nameAt, nameAt + nameLength), nameLength)
      if (typeof to === 'number') return to
      // To other programs: only the kernel, which here is the stack, hears what programs say.
      if (to.groups !== 0) return -EPERM
      if (to.id !== 0) return -ECONNREFUSED
    }
    if (message.length > MOST_REQUEST) return -EMSGSIZE
    if (message.length === 0) return -ENODATA
    if (this.m.options[HAS_ID] === 0) this.takeId(0)
    return MOST_REQUEST
  }

  send(message: Inbound): number {
    const checked = this.check(message)
    if (checked < 0) return checked
    // The memory is used again for what comes next.
    const text = message.bytes.slice(message.at, message.at + message.length)
    for (const request of messagesIn(text)) this.serve(request)
    return 0
  }

  private serve(request: NetlinkMessage): void {
    // What others are told of what changes now begins with what is.
    if ((request.flags & NLM_F_ECHO) !== 0) this.news()
    // What asks for nothing may still want to know that it came.
    const asks = (request.flags & NLM_F_REQUEST) !== 0 && request.type >= NLMSG_MIN_TYPE
    const outcome = asks ? this.outcomeOf(request) : undefined
    if (outcome !== undefined && 'list' in outcome) return this.begin(outcome.list, request)
    if (outcome !== undefined && 'type' in outcome)
      this.give(netlinkMessage(outcome.type, 0, request.seq, this.id, outcome.body))
    const errno = outcome !== undefined && 'errno' in outcome ? outcome.errno : 0
    this.tellNews(request)
    if (errno === 0 && (request.flags & NLM_F_ACK) === 0) return
    const { options } = this.m
    const why = outcome !== undefined && 'why' in outcome ? outcome.why : undefined
    const told = options[EXT_ACK] === 0 ? undefined : why
    this.give(netlinkError(request, this.id, errno, options[CAP_ACK] !== 0, told))
  }

  private outcomeOf(request: NetlinkMessage): Outcome {
    const { ground, m } = this
    const context: Context = {
      stack: ground.stack,
      now: ground.now,
      strict: m.options[STRICT] !== 0,
      sockets: () => listSockets(ground),
    }
    const isDump = (request.flags & NLM_F_DUMP) !== 0
    if (isDump && this.dump !== undefined) return { errno: -EBUSY }
    return m.protocol === NETLINK_ROUTE
      ? routeRequest(context, request)
      : diagRequest(context, request)
  }

  // ---- answers

  private give(bytes: Uint8Array, group = 0): boolean {
    const { ground, m } = this
    const { outbound } = ground.messages
    const wanted = wantedOfMessage(ground, m, bytes)
    if (wanted === 0) return true
    outbound.begin()
    const at = outbound.name(SOCKADDR_NL_LEN)
    outbound.view.setUint16(at, AF_NETLINK, true)
    outbound.view.setUint32(at + 8, group === 0 || group > 32 ? 0 : 1 << (group - 1), true)
    if (m.options[PKTINFO] !== 0) outbound.controlInt(SOL_NETLINK, NETLINK_PKTINFO, group)
    // The kernel's: pid, uid and gid are zeros.
    if (m.options[PASSCRED] !== 0) outbound.control(SOL_SOCKET, SCM_CREDENTIALS, UCRED_LEN)
    if (deliver(ground, m, bytes, 0, wanted)) return true
    if (m.options[NO_ENOBUFS] === 0) deliverError(ground, m, ENOBUFS)
    return false
  }

  private begin(list: Iterable<Answer>, request: NetlinkMessage): void {
    this.m.options[DUMPING] = 1
    this.dump = { answers: list[Symbol.iterator](), next: undefined, request }
    this.more()
  }

  /** Parts of the dump, as long as each goes to the program at once. */
  more(): void {
    while (this.dump !== undefined && this.m.queue.length === 0) this.give(this.part(this.dump))
  }

  /**
   * As many answers as there is room for, at least one. The end is a part of its own, as in the kernel's dumps of
   * routes: many programs look at the first message of a part only. Natively it is not, since there one message waits
   * for the program at a time, and musl's getifaddrs() does not wait for the next.
   */
  private part(dump: Dump): Uint8Array {
    const { request } = dump
    const message = (type: number, body: Uint8Array) =>
      netlinkMessage(type, NLM_F_MULTI, request.seq, this.id, body)
    const parts: Uint8Array[] = []
    for (let length = 0; ;) {
      const answer = dump.next === undefined ? dump.answers.next() : undefined
      const isDone = answer?.done === true
      const next =
        dump.next ??
        message(isDone ? NLMSG_DONE : answer!.value.type, isDone ? i32s(0) : answer!.value.body)
      const isOwnPart = isDone && !this.m.native
      if (length > 0 && (isOwnPart || length + next.length > PART)) {
        dump.next = next
        return concat(parts)
      }
      parts.push(next)
      length += next.length
      dump.next = undefined
      if (viewOf(next).getUint16(4, true) !== NLMSG_DONE) continue
      this.dump = undefined
      this.m.options[DUMPING] = 0
      return concat(parts)
    }
  }

  // ---- groups

  private get groupMask(): number {
    const most = MOST_GROUPS[this.m.protocol]
    return most >= 32 ? -1 : (1 << most) - 1
  }

  hears(group: number): boolean {
    const word = this.m.options[GROUPS + ((group - 1) >> 5)]
    return ((word >>> ((group - 1) & 31)) & 1) === 1
  }

  told({ group, type, body }: Event, seq: number, pid: number): void {
    this.give(netlinkMessage(type, 0, seq, pid, body), group)
  }

  private get inGroups(): boolean {
    return this.m.options[GROUPS] !== 0 || this.m.options[GROUPS + 1] !== 0
  }

  private news(): News {
    const { messages, stack, now } = this.ground
    return (messages.news ??= new News(stack, now))
  }

  private groupsChanged(): void {
    const { m } = this
    this.name(RECORD.local, this.id, m.options[GROUPS])
    if (this.inGroups && m.protocol === NETLINK_ROUTE) this.news().listeners.add(this)
    else this.leave()
  }

  /** What the request has changed, before its acknowledgment. */
  private tellNews({ seq, flags }: NetlinkMessage): void {
    const { news } = this.ground.messages
    news?.tell(this.ground.now, seq, this.id, (flags & NLM_F_ECHO) !== 0 ? this : undefined)
    if (news !== undefined && !this.inGroups) this.leave()
  }

  private setMembership(group: number, member: boolean): number {
    const { m } = this
    if (group < 1 || group > MOST_GROUPS[m.protocol]) return -EINVAL
    const bit = 1 << ((group - 1) & 31)
    const column = GROUPS + ((group - 1) >> 5)
    if (member) m.options[column] |= bit
    else m.options[column] &= ~bit
    this.groupsChanged()
    return 0
  }

  // ---- options

  setOption(call: Call): number | undefined {
    const { m } = this
    const [level, name] = call.arg
    if (level === SOL_SOCKET && name === SO_PASSCRED) {
      if (call.length < 4) return -EINVAL
      m.options[PASSCRED] = Number(intOf(call) !== 0)
      return 0
    }
    if (level === SOL_SOCKET) return setIpOption(m, NOWHERE, call)
    if (level !== SOL_NETLINK) return -ENOPROTOOPT
    if (call.arg[2] < 0) return -EINVAL
    if (name === NETLINK_LISTEN_ALL_NSID) return -EPERM
    const column = COLUMNS.get(name)
    const isGroup = name === NETLINK_ADD_MEMBERSHIP || name === NETLINK_DROP_MEMBERSHIP
    if (call.length < 4) return column === undefined && !isGroup ? -ENOPROTOOPT : -EINVAL
    const value = intOf(call)
    if (isGroup) return this.setMembership(value, name === NETLINK_ADD_MEMBERSHIP)
    if (column === undefined) return -ENOPROTOOPT
    m.options[column] = Number(value !== 0)
    return 0
  }

  getOption(call: Call): number | undefined {
    const { m } = this
    const [level, name] = call.arg
    if (level === SOL_SOCKET && name === SO_PASSCRED) return giveInt(call, m.options[PASSCRED])
    if (level === SOL_SOCKET) return getIpOption(m, call)
    if (level !== SOL_NETLINK) return -ENOPROTOOPT
    if (call.arg[2] < 0) return -EINVAL
    if (name === NETLINK_LIST_MEMBERSHIPS) return this.listMemberships(call)
    const column = COLUMNS.get(name)
    if (column === undefined) return -ENOPROTOOPT
    return call.arg[2] < 4 ? -EINVAL : giveInt(call, m.options[column])
  }

  /** As many words as there is room for; the length tells how many there are. */
  private listMemberships(call: Call): number {
    const words = Math.ceil(MOST_GROUPS[this.m.protocol] / 32)
    const bytes = i32s(...this.m.options.subarray(GROUPS, GROUPS + words))
    const n = Math.min(call.arg[2] & ~3, bytes.length)
    call.out.set(bytes.subarray(0, n))
    call.outLength = n
    return 0
  }

  // ---- ends

  close(): void {
    this.dump = undefined
    this.leave()
  }

  /** Nobody listens: what changes is not looked at any more. */
  private leave(): void {
    const { messages } = this.ground
    messages.news?.listeners.delete(this)
    if (messages.news?.listeners.size === 0) messages.news = undefined
  }

  /** Answers on their way are lost, and news: as after an overrun, the program has to ask again (netlink(7)). */
  recover(): void {
    const { ground, m } = this
    this.groupsChanged()
    if (!this.inGroups && m.options[DUMPING] === 0) return
    m.options[DUMPING] = 0
    deliverError(ground, m, ENOBUFS)
  }
}

/** struct sockaddr_nl, or a negative errno. */
function sockaddrIn(bytes: Uint8Array, length: number): { id: number; groups: number } | number {
  if (length < SOCKADDR_NL_LEN) return -EINVAL
  const view = viewOf(bytes)
  if (view.getUint16(0, true) !== AF_NETLINK) return -EINVAL
  return { id: view.getUint32(4, true), groups: view.getInt32(8, true) }
}

/** socket(AF_NETLINK, …): the kind, or a negative errno. */
export function netlinkKind(type: number, protocol: number): KindOf | number {
  if (!SOCK_TYPES.includes(type)) return -ESOCKTNOSUPPORT
  return protocol in MOST_GROUPS ? netlinkSocket : -EPROTONOSUPPORT
}

const netlinkSocket = (ground: Ground, m: MessageSocket): Kind => new NetlinkSocket(ground, m)
