// Socket options that are more than a number, and of every socket over IP (socket(7), ip(7), ipv6(7)). What Linux sends or
// looks up for them and this stack does not, it refuses as Linux refuses it to those without the right, or for what is
// not there.
import {
  EADDRNOTAVAIL,
  EBADF,
  EFAULT,
  EINVAL,
  EMSGSIZE,
  ENODEV,
  ENOENT,
  ENOPROTOOPT,
  ENOTCONN,
  EOPNOTSUPP,
  EPERM,
  ESRCH,
} from '../base/errno.ts'
import { AF_INET, AF_INET6 } from '../ffi/libc.ts'
import { RECORD } from '../shm/layout.ts'
import type { Call } from './calls.ts'
import {
  giveBytes,
  giveInt,
  int32s,
  intOf,
  IPPROTO_IP,
  IPPROTO_IPV6,
  key,
  NULL,
  OPT_REUSEPORT,
  READABLE,
  roomOf,
  SOL_SOCKET,
  textOf,
  UNREADABLE,
  viewOf,
  wrong,
} from './option-rules.ts'
import type { SocketRecord } from './record.ts'
import {
  ADDR_PREFERENCES,
  DEVICE,
  IP_OPTIONS,
  LINGER,
  PACING_RATE,
  PORT_RANGE,
  TIMESTAMP,
  TIMESTAMP_NS,
  TIMESTAMP_NS_NEW,
  TIMESTAMP_US,
  TIMESTAMP_US_NEW,
  TIMESTAMPING,
  TIMESTAMPING_NEW,
  TXTIME,
  UNICAST_IF,
  UNICAST_IF6,
} from './common-options.ts'
import * as T from './table.ts'

const SO_LINGER = 13
const SO_PEERCRED = 17
const SO_BINDTODEVICE = 25
const SO_PEERNAME = 28
const SO_TIMESTAMP = 29
const SO_TIMESTAMPNS = 35
const SO_TIMESTAMPING = 37
const SO_PEEK_OFF = 42
const SO_MAX_PACING_RATE = 47
const SO_ATTACH_REUSEPORT_CBPF = 51
const SO_ATTACH_REUSEPORT_EBPF = 52
const SO_MEMINFO = 55
const SO_TXTIME = 61
const SO_BINDTOIFINDEX = 62
const SO_TIMESTAMP_NEW = 63
const SO_TIMESTAMPNS_NEW = 64
const SO_TIMESTAMPING_NEW = 65
const SO_DETACH_REUSEPORT_BPF = 68
const SO_DEVMEM_DONTNEED = 80
const IP_OPTIONS_NAME = 4
const IP_PKTOPTIONS = 9
const IP_MTU = 14
const IP_IPSEC_POLICY = 16
const IP_XFRM_POLICY = 17
const IP_UNICAST_IF = 50
const IP_LOCAL_PORT_RANGE = 51
const IP_PROTOCOL = 52
const IPV6_ADDRFORM = 1
const IPV6_2292PKTOPTIONS = 6
const IPV6_MTU = 24
const IPV6_JOIN_ANYCAST = 27
const IPV6_LEAVE_ANYCAST = 28
const IPV6_FLOWLABEL_MGR = 32
const IPV6_IPSEC_POLICY = 34
const IPV6_XFRM_POLICY = 35
const IPV6_PKTINFO = 50
const IPV6_HOPOPTS = 54
const IPV6_RTHDRDSTOPTS = 55
const IPV6_RTHDR = 57
const IPV6_DSTOPTS = 59
const IPV6_PATHMTU = 61
const IPV6_ADDR_PREFERENCES = 72
const IPV6_UNICAST_IF = 76

/** A socket, as far as what is more than a number asks for it. */
export interface Owner {
  readonly s: SocketRecord
  readonly isStream: boolean
  /** IPV6_ADDRFORM is for TCP and UDP. */
  readonly hasForm: boolean
  readonly connected: boolean
  /** Of the path to the peer; undefined: there is none. */
  mtu(): number | undefined
  /** Bytes: come and not read, room for them, sent and not gone, room for them; messages lost. */
  readonly memory: readonly [number, number, number, number, number]
}

interface Structured {
  /** setsockopt(2); without it -ENOPROTOOPT. */
  readonly set?: (owner: Owner, call: Call) => number
  /** getsockopt(2); without it -ENOPROTOOPT. */
  readonly get?: (owner: Owner, call: Call) => number
}

/** The interfaces, by index. */
export const DEVICES = ['', 'lo', 'eth0']
/** SOF_TIMESTAMPING_*: all there are, and those that number what was sent (OPT_ID, OPT_ID_TCP). */
const TIMESTAMPING_ALL = 0x7ffff
const TIMESTAMPING_ID = 0x80
const TIMESTAMPING_ID_TCP = 0x10000
const TIMESTAMPING_STATS = 0x1000
const TIMESTAMPING_TSONLY = 0x800
const TIMESTAMPING_BIND_PHC = 0x8000
const TXTIME_FLAGS = 3
const SOCK_FPROG_LEN = 16
const MTUINFO_LEN = 32
const CMSG_LEN = 16
/** struct in6_flowlabel_req. */
const FLOWLABEL_LEN = 32
const FLOWLABEL_ACTION = 20
const IPV6_MREQ_LEN = 20
const PKTINFO_LEN = 20
const IFNAMSIZ = 16
const MOST_IP_OPTIONS = 40
const IPOPT_END = 0
const IPOPT_NOP = 1

const timestamping: Structured = {
  set: (o, call) => wrong(call, 4) ?? setTimestamping(o, call),
  get: ({ s }, call) => {
    const young = call.arg[1] === SO_TIMESTAMPING_NEW
    const shown = !young || s.options[TIMESTAMPING_NEW] !== 0
    return giveBytes(call, int32s(shown ? s.options[TIMESTAMPING] : 0, 0))
  },
}

const stamp = (kind: number): Structured => ({
  set: ({ s }, call) => {
    const r = wrong(call, 4)
    if (r === undefined) s.options[TIMESTAMP] = intOf(call) !== 0 ? kind : 0
    return r ?? 0
  },
  get: ({ s }, call) => giveInt(call, Number(s.options[TIMESTAMP] === kind)),
})

const unicastIf = (column: number): Structured => ({
  set: ({ s }, call) => setUnicastIf(s, column, call),
  get: ({ s }, call) => giveInt(call, s.options[column]),
})

/** IPsec is the kernel's: no policy can be set, and there is none. */
const policy = (answer: number): Structured => ({
  set: ({ s }, call) => {
    if (call.length === 0) return call.arg[2] === NULL ? 0 : -EMSGSIZE
    if (call.arg[2] !== READABLE) return -EFAULT
    // One of the other family.
    return call.arg[0] === IPPROTO_IP && s.get(T.FAMILY) === AF_INET6 ? -EOPNOTSUPP : answer
  },
})

/** Extension headers for all packets: none are sent, but to have none is what there is. */
const stickyHeader: Structured = {
  set: (_, call) => {
    if (call.length === 0) return 0
    if (call.arg[2] === UNREADABLE && call.length >= 4) return -EFAULT
    const isHeader = call.length >= 8 && (call.length & 7) === 0 && call.length <= 8 * 255
    return isHeader && call.arg[2] === READABLE ? -EPERM : -EINVAL
  },
  get: (_, call) => giveBytes(call, new Uint8Array(0)),
}

/** Flow labels that are leased: none can be, and none is. */
const flowLabels: Structured = {
  set: (_, call) =>
    wrong(call, FLOWLABEL_LEN) ?? (call.data[FLOWLABEL_ACTION] === 0 ? -EINVAL : -ESRCH),
  get: (_, call) => {
    if (call.arg[2] < FLOWLABEL_LEN) return -EINVAL
    if (call.arg[3] !== READABLE) return -EFAULT
    return call.data[FLOWLABEL_ACTION] === 0 ? -ENOENT : -EINVAL
  },
}

const always = (answer: number) => () => answer

/* prettier-ignore */
const STRUCTURED = new Map<number, Structured>([
  [key(SOL_SOCKET, SO_LINGER), {
    set: ({ s }, call) => wrong(call, 4) ?? wrong(call, 8) ?? setLinger(s, call),
    get: ({ s }, call) => giveBytes(call, int32s(Number(s.options[LINGER] > 0), Math.max(0, s.options[LINGER] - 1))),
  }],
  [key(SOL_SOCKET, SO_BINDTODEVICE), {
    set: ({ s }, call) => wrong(call, 0) ?? setDevice(s, textOf(call)),
    get: ({ s }, call) => giveDevice(s.options[DEVICE], call),
  }],
  [key(SOL_SOCKET, SO_BINDTOIFINDEX), {
    set: ({ s }, call) => wrong(call, 4) ?? setDeviceIndex(s, intOf(call)),
    get: ({ s }, call) => giveInt(call, s.options[DEVICE]),
  }],
  [key(SOL_SOCKET, SO_PEERCRED), {}],
  [key(SOL_SOCKET, SO_PEERNAME), { get: givePeer }],
  // As before Linux had it for the Internet's: a peek begins at what is next to be read.
  [key(SOL_SOCKET, SO_PEEK_OFF), { set: (_, call) => wrong(call, 4) ?? -EOPNOTSUPP, get: always(-EOPNOTSUPP) }],
  [key(SOL_SOCKET, SO_TIMESTAMP), stamp(TIMESTAMP_US)],
  [key(SOL_SOCKET, SO_TIMESTAMPNS), stamp(TIMESTAMP_NS)],
  [key(SOL_SOCKET, SO_TIMESTAMP_NEW), stamp(TIMESTAMP_US_NEW)],
  [key(SOL_SOCKET, SO_TIMESTAMPNS_NEW), stamp(TIMESTAMP_NS_NEW)],
  [key(SOL_SOCKET, SO_TIMESTAMPING), timestamping],
  [key(SOL_SOCKET, SO_TIMESTAMPING_NEW), timestamping],
  [key(SOL_SOCKET, SO_MAX_PACING_RATE), {
    set: ({ s }, call) => wrong(call, 4) ?? setPacingRate(s, call),
    get: ({ s }, call) => giveBytes(call, int32s(s.options[PACING_RATE], s.options[PACING_RATE + 1])),
  }],
  [key(SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF), { set: (_, call) => wrong(call, 4) ?? (call.length === SOCK_FPROG_LEN && intOf(call) !== 0 ? -EOPNOTSUPP : -EINVAL) }],
  // call.arg[3]: what is wrong with the descriptor that should be a program, an errno, or 0.
  [key(SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF), { set: (_, call) => wrong(call, 4) ?? (call.length === 4 ? -(call.arg[3] || EOPNOTSUPP) : -EINVAL) }],
  [key(SOL_SOCKET, SO_DETACH_REUSEPORT_BPF), { set: ({ s }, call) => wrong(call, 4) ?? (s.options[OPT_REUSEPORT] === 0 ? -EINVAL : -ENOENT) }],
  [key(SOL_SOCKET, SO_MEMINFO), { get: ({ memory }, call) => {
    const [come, room, sent, sendRoom, lost] = memory
    return giveBytes(call, int32s(come, room, sent, sendRoom, 0, 0, 0, 0, lost))
  } }],
  [key(SOL_SOCKET, SO_TXTIME), {
    set: ({ s }, call) => wrong(call, 4) ?? setTxTime(s, call),
    get: ({ s }, call) => giveBytes(call, int32s(s.options[TXTIME], s.options[TXTIME + 1])),
  }],
  // Memory of devices: there is none that could be given back.
  [key(SOL_SOCKET, SO_DEVMEM_DONTNEED), {
    set: ({ isStream }, call) => wrong(call, 4) ?? (!isStream ? -EBADF : call.length % 8 === 0 ? 0 : -EINVAL),
  }],
  [key(IPPROTO_IP, IP_OPTIONS_NAME), { set: setIpOptions, get: ({ s }, call) => giveBytes(call, optionsOf(s)) }],
  [key(IPPROTO_IP, IP_PKTOPTIONS), { get: ({ isStream }, call) => isStream ? giveBytes(call, new Uint8Array(0)) : -ENOPROTOOPT }],
  [key(IPPROTO_IP, IP_MTU), { get: giveMtu }],
  [key(IPPROTO_IP, IP_IPSEC_POLICY), policy(-EOPNOTSUPP)],
  [key(IPPROTO_IP, IP_XFRM_POLICY), policy(-EINVAL)],
  [key(IPPROTO_IP, IP_UNICAST_IF), unicastIf(UNICAST_IF)],
  [key(IPPROTO_IP, IP_LOCAL_PORT_RANGE), {
    set: ({ s }, call) => wrong(call, 0) ?? (call.length === 4 ? setPortRange(s, intOf(call)) : -EINVAL),
    get: ({ s }, call) => giveInt(call, s.options[PORT_RANGE]),
  }],
  [key(IPPROTO_IP, IP_PROTOCOL), { get: ({ s }, call) => giveInt(call, s.get(T.PORT)) }],
  [key(IPPROTO_IPV6, IPV6_ADDRFORM), {
    set: ({ connected, hasForm }, call) => wrong6(call, 4) ?? (intOf(call) !== AF_INET ? -EINVAL : !hasForm ? -ENOPROTOOPT : connected ? -EADDRNOTAVAIL : -ENOTCONN),
    get: ({ connected, hasForm }, call) => !hasForm ? -ENOPROTOOPT : connected ? giveInt(call, AF_INET6) : -ENOTCONN,
  }],
  [key(IPPROTO_IPV6, IPV6_2292PKTOPTIONS), {
    set: (_, call) => call.length > 0 && call.arg[2] !== READABLE ? -EFAULT : call.length < CMSG_LEN ? 0 : -EINVAL,
    get: ({ isStream }, call) => isStream ? giveBytes(call, new Uint8Array(0)) : -ENOPROTOOPT,
  }],
  [key(IPPROTO_IPV6, IPV6_MTU), { get: giveMtu }],
  // Anycast addresses there are none.
  [key(IPPROTO_IPV6, IPV6_JOIN_ANYCAST), { set: (_, call) => wrong(call, IPV6_MREQ_LEN) ?? -EADDRNOTAVAIL }],
  [key(IPPROTO_IPV6, IPV6_LEAVE_ANYCAST), { set: (_, call) => wrong(call, IPV6_MREQ_LEN) ?? -ENOENT }],
  [key(IPPROTO_IPV6, IPV6_PKTINFO), { set: setPacketInfo }],
  [key(IPPROTO_IPV6, IPV6_FLOWLABEL_MGR), flowLabels],
  [key(IPPROTO_IPV6, IPV6_IPSEC_POLICY), policy(-EOPNOTSUPP)],
  [key(IPPROTO_IPV6, IPV6_XFRM_POLICY), policy(-EINVAL)],
  [key(IPPROTO_IPV6, IPV6_HOPOPTS), stickyHeader],
  [key(IPPROTO_IPV6, IPV6_RTHDRDSTOPTS), stickyHeader],
  [key(IPPROTO_IPV6, IPV6_RTHDR), { ...stickyHeader, set: (o, call) => stickyHeader.set!(o, call) === -EPERM ? -EINVAL : stickyHeader.set!(o, call) }],
  [key(IPPROTO_IPV6, IPV6_DSTOPTS), stickyHeader],
  [key(IPPROTO_IPV6, IPV6_PATHMTU), { get: givePathMtu }],
  [key(IPPROTO_IPV6, IPV6_ADDR_PREFERENCES), {
    set: ({ s }, call) => wrong6(call, 4) ?? setPreferences(s, intOf(call)),
    get: ({ s }, call) => giveInt(call, s.options[ADDR_PREFERENCES] || PREFERRED),
  }],
  [key(IPPROTO_IPV6, IPV6_UNICAST_IF), unicastIf(UNICAST_IF6)],
])

/** setsockopt(2) of what is more than a number; undefined: it is none of them. */
export function setStructured(owner: Owner, call: Call): number | undefined {
  const known = STRUCTURED.get(key(call.arg[0], call.arg[1]))
  return known?.set?.(owner, call)
}

/** getsockopt(2) of the same. */
export function getStructured(owner: Owner, call: Call): number | undefined {
  const known = STRUCTURED.get(key(call.arg[0], call.arg[1]))
  return known?.get?.(owner, call)
}

/** A new socket's. */
export function defaultStructured(s: SocketRecord): void {
  s.options.fill(0, IP_OPTIONS)
  s.options[PACING_RATE] = s.options[PACING_RATE + 1] = -1
}

/** As wrong(), where Linux takes a null pointer for 0. */
function wrong6(call: Call, least: number): number | undefined {
  if (call.length < least) return -EINVAL
  return call.arg[2] === UNREADABLE ? -EFAULT : undefined
}

function setLinger(s: SocketRecord, call: Call): number {
  const seconds = Math.min(viewOf(call).getUint32(4, true), 0x7ffffffe)
  s.options[LINGER] = intOf(call) !== 0 ? 1 + seconds : 0
  return 0
}

function setDevice(s: SocketRecord, name: string): number {
  const index = DEVICES.indexOf(name)
  if (index < 0) return -ENODEV
  s.options[DEVICE] = index
  return 0
}

/** Any number: it may become one (Linux). */
function setDeviceIndex(s: SocketRecord, index: number): number {
  if (index < 0) return -EINVAL
  s.options[DEVICE] = index
  return 0
}

/** The name and its zero byte; nothing if there is none. */
function giveDevice(index: number, call: Call): number {
  if (index === 0) return giveBytes(call, new Uint8Array(0))
  if (roomOf(call) < IFNAMSIZ) return -EINVAL
  const name = DEVICES[index]
  return name === undefined ? -ENODEV : giveBytes(call, Buffer.from(`${name}\0`, 'latin1'))
}

/** As getpeername(), but for a room that is too great. */
function givePeer({ s, connected }: Owner, call: Call): number {
  if (!connected) return -ENOTCONN
  const name = s.sharedName(RECORD.peer)
  return roomOf(call) > name.length ? -EINVAL : giveBytes(call, name)
}

/** Of a stream nothing is stamped: who asks for it waits for stamps that the path does not give, as on many a device. */
function setTimestamping({ s, isStream, connected }: Owner, call: Call): number {
  const flags = intOf(call)
  if ((flags & ~TIMESTAMPING_ALL) !== 0) return -EINVAL
  const numbered = (flags & TIMESTAMPING_ID) !== 0
  if ((flags & TIMESTAMPING_ID_TCP) !== 0 && !numbered) return -EINVAL
  if (numbered && isStream && !connected) return -EINVAL
  if ((flags & TIMESTAMPING_STATS) !== 0 && (flags & TIMESTAMPING_TSONLY) === 0) return -EINVAL
  if ((flags & TIMESTAMPING_BIND_PHC) !== 0) return -EINVAL
  s.options[TIMESTAMPING] = flags
  s.options[TIMESTAMPING_NEW] = Number(call.arg[1] === SO_TIMESTAMPING_NEW)
  return 0
}

/** Bytes a second, of 32 bits or 64; -1: no limit. */
function setPacingRate(s: SocketRecord, call: Call): number {
  const low = intOf(call)
  s.options[PACING_RATE] = low
  s.options[PACING_RATE + 1] =
    call.length >= 8 ? viewOf(call).getInt32(4, true) : low === -1 ? -1 : 0
  return 0
}

/** What of it is more than 31 bits is no limit. */
export const pacingRate = ({ options }: SocketRecord): number =>
  options[PACING_RATE + 1] === 0 && options[PACING_RATE] >= 0
    ? options[PACING_RATE]
    : options[PACING_RATE + 1] === 0
      ? 0x7fffffff
      : -1

/** There is no queue that sends at a given time: as on an interface without one, the time has no effect. */
function setTxTime(s: SocketRecord, call: Call): number {
  const flags = viewOf(call).getInt32(4, true)
  if (call.length !== 8 || (flags & ~TXTIME_FLAGS) !== 0) return -EINVAL
  s.options[TXTIME] = intOf(call)
  s.options[TXTIME + 1] = flags
  return 0
}

/** The least port in the lower half, the greatest in the upper; 0 leaves it as it is. */
function setPortRange(s: SocketRecord, range: number): number {
  const low = range & 0xffff
  const high = range >>> 16
  if (low !== 0 && high !== 0 && low > high) return -EINVAL
  s.options[PORT_RANGE] = range
  return 0
}

/** An index in the network's order. There is but one interface to send from. */
function setUnicastIf(s: SocketRecord, column: number, call: Call): number {
  const bad = column === UNICAST_IF ? wrong(call, 0) : call.arg[2] === UNREADABLE && call.length >= 4 ? -EFAULT : undefined // prettier-ignore
  if (bad !== undefined) return bad
  if (call.length !== 4) return -EINVAL
  const value = intOf(call)
  const index = call.arg[2] === READABLE ? viewOf(call).getUint32(0) : 0
  if (index >= DEVICES.length) return -EADDRNOTAVAIL
  const device = s.options[DEVICE]
  if (index !== 0 && device !== 0 && index !== device) return -EINVAL
  s.options[column] = value
  return 0
}

/** Linux takes the interface out of it, and there is but one to send from; the address it only keeps. */
function setPacketInfo({ s }: Owner, call: Call): number {
  const bad = call.arg[2] === NULL ? -EINVAL : wrong(call, PKTINFO_LEN)
  if (bad !== undefined) return bad
  const index = viewOf(call).getInt32(16, true)
  const device = s.options[DEVICE]
  return index !== 0 && device !== 0 && index !== device ? -EINVAL : 0
}

/** Those that fill up and end are kept, as Linux keeps them. No others are sent, so no others can be set. */
function setIpOptions({ s }: Owner, call: Call): number {
  if (call.length > MOST_IP_OPTIONS) return -EINVAL
  if (call.length > 0 && call.arg[2] !== READABLE) return -EFAULT
  const bytes = new Uint8Array((call.length + 3) & ~3)
  for (let i = 0; i < call.length; i++) {
    if (call.data[i] === IPOPT_END) break
    if (call.data[i] !== IPOPT_NOP) return -EINVAL
    bytes[i] = IPOPT_NOP
  }
  s.options[IP_OPTIONS] = bytes.length
  s.options.set(new Int32Array(bytes.buffer), IP_OPTIONS + 1)
  return 0
}

const optionsOf = ({ options }: SocketRecord): Uint8Array =>
  int32s(...options.subarray(IP_OPTIONS + 1, IP_OPTIONS + 1 + options[IP_OPTIONS] / 4))

function giveMtu(owner: Owner, call: Call): number {
  const mtu = owner.mtu()
  return mtu === undefined ? -ENOTCONN : giveInt(call, mtu)
}

/** struct ip6_mtuinfo: no address (Linux), and what the path takes. */
function givePathMtu(owner: Owner, call: Call): number {
  if (roomOf(call) < MTUINFO_LEN) return -EINVAL
  const mtu = owner.mtu()
  if (mtu === undefined) return -ENOTCONN
  const info = new Uint8Array(MTUINFO_LEN)
  info.set(int32s(mtu), MTUINFO_LEN - 4)
  return giveBytes(call, info)
}

// IPV6_PREFER_SRC_*, RFC 5014. Temporary, care-of and CGA addresses there are none.
const PREFER_TMP = 1
const PREFER_PUBLIC = 2
const PREFER_COA = 4
const PREFER_CGA = 8
const PREFER_DEFAULT = 0x100
const PREFER_HOME = 0x400
const PREFER_NONCGA = 0x800
const PREFERRED = PREFER_DEFAULT | PREFER_HOME

function setPreferences(s: SocketRecord, value: number): number {
  const one = (mask: number) => {
    const bits = value & mask
    return (bits & (bits - 1)) === 0
  }
  const scope = PREFER_TMP | PREFER_PUBLIC | PREFER_DEFAULT
  const home = PREFER_COA | PREFER_HOME
  if (!one(scope) || !one(home) || !one(PREFER_CGA | PREFER_NONCGA)) return -EINVAL
  s.options[ADDR_PREFERENCES] = (value & scope || PREFER_DEFAULT) | (value & home || PREFER_HOME)
  return 0
}
