// Multicast options (ip(7), ipv6(7), RFC 3678): their structures, which interface they mean, and the groups that a
// socket is in, kept in its notes so that a new stack thread joins them again.
import { EADDRNOTAVAIL, EFAULT, EINVAL, ENODEV } from '../../base/errno.ts'
import { AF_INET, AF_INET6 } from '../../ffi/libc.ts'
import { type FilterMode, LOOPBACK_INDEX, NIC_INDEX } from '../../stack/stack.ts'
import { Address } from '../../wire/address.ts'
import type { Call } from '../calls.ts'
import {
  giveBytes,
  giveInt,
  int32s,
  IPPROTO_IP,
  IPPROTO_IPV6,
  READABLE,
  wrong,
} from '../option-rules.ts'
import { giveGroupFilter, giveIpFilter, type Joined } from '../source-filter.ts'
import { MULTICAST_IF, MULTICAST_IF6, MULTICAST_IF_INDEX } from './ip-options.ts'
import type { Target } from './ip-options.ts'
import type { MessageSocket } from './message-socket.ts'

/** What the core does about groups; each gives 0 or a negative errno. */
export interface GroupTarget extends Target {
  readonly memberships: readonly Joined[]
}
export interface GroupCalls {
  join(group: Address): number
  leave(group: Address): number
  joinSource(group: Address, source: Address): number
  leaveSource(group: Address, source: Address): number
  block(group: Address, source: Address): number
  unblock(group: Address, source: Address): number
  setFilter(group: Address, mode: FilterMode, sources: readonly Address[]): number
  /** The address is ours. */
  isLocal(address: Address): boolean
}

const IP_MULTICAST_IF = 32
const IP_ADD_MEMBERSHIP = 35
const IP_DROP_MEMBERSHIP = 36
const IP_MSFILTER = 41
const IPV6_MULTICAST_IF = 17
const IPV6_JOIN_GROUP = 20
const IPV6_LEAVE_GROUP = 21
const MCAST_JOIN_GROUP = 42
const MCAST_LEAVE_GROUP = 45
const MCAST_MSFILTER = 48

type SourceCall = 'joinSource' | 'leaveSource' | 'block' | 'unblock'
/** IP_UNBLOCK_SOURCE and its three followers, MCAST_* of the same. */
const SOURCE_CALLS = new Map<number, SourceCall>([
  [37, 'unblock'],
  [38, 'block'],
  [39, 'joinSource'],
  [40, 'leaveSource'],
])
const MCAST_SOURCE_CALLS = new Map<number, SourceCall>([
  [43, 'block'],
  [44, 'unblock'],
  [46, 'joinSource'],
  [47, 'leaveSource'],
])
/** Offsets in struct group_req and group_source_req. */
const GROUP = 8
const SOURCE = 136
const MODE_INCLUDE = 1

/** setsockopt(2). Undefined: not about groups. */
export function setGroupOption(
  m: MessageSocket,
  target: GroupTarget,
  calls: GroupCalls,
  call: Call,
): number | undefined {
  const [level, name] = call.arg
  if (level !== IPPROTO_IP && (level !== IPPROTO_IPV6 || m.family !== AF_INET6)) return undefined
  const r = level === IPPROTO_IP ? ofIp(m, target, calls, name, call) : undefined
  const result =
    r ??
    (level === IPPROTO_IPV6 ? ofIpv6(m, calls, name, call) : undefined) ??
    ofBoth(level, calls, name, call)
  if (result === 0) remember(m, target)
  return result
}

function ofIp(
  m: MessageSocket,
  target: GroupTarget,
  calls: GroupCalls,
  name: number,
  call: Call,
): number | undefined {
  const view = viewOf(call)
  const v4 = (at: number) => Address.read(call.data, at, 4)
  if (name === IP_ADD_MEMBERSHIP || name === IP_DROP_MEMBERSHIP || name === IP_MULTICAST_IF) {
    const isAddress = name === IP_MULTICAST_IF && call.length < 8
    const bad = wrong(call, isAddress ? 4 : 8)
    if (bad !== undefined) return bad
    if (isAddress) return multicastIf(m, target, calls, v4(0), 0)
    const index = call.length >= 12 ? view.getInt32(8, true) : 0
    if (name === IP_MULTICAST_IF) return multicastIf(m, target, calls, v4(4), index)
    const group = v4(0)
    if (!group.isMulticast) return name === IP_ADD_MEMBERSHIP ? -EINVAL : -EADDRNOTAVAIL
    const device = deviceOf(calls, v4(4), index)
    if (device < 0) return device
    return name === IP_ADD_MEMBERSHIP ? calls.join(group) : calls.leave(group)
  }
  const about = SOURCE_CALLS.get(name)
  if (about !== undefined) {
    if (call.length !== 12) return -EINVAL
    if (call.arg[2] !== READABLE) return -EFAULT
    const device = deviceOf(calls, v4(4), 0)
    return device < 0 ? device : calls[about](v4(0), v4(8))
  }
  if (name !== IP_MSFILTER) return undefined
  const bad = wrong(call, 16)
  if (bad !== undefined) return bad
  const n = view.getUint32(12, true)
  if (n > (call.length - 16) / 4) return -EINVAL
  const sources = Array.from({ length: n }, (_, i) => v4(16 + 4 * i))
  return calls.setFilter(v4(0), modeOf(view.getUint32(8, true)), sources)
}

function ofIpv6(m: MessageSocket, calls: GroupCalls, name: number, call: Call): number | undefined {
  const view = viewOf(call)
  if (name === IPV6_MULTICAST_IF) {
    if (call.length < 4) return -EINVAL
    const index = view.getInt32(0, true)
    if (index !== 0 && !isDevice(index)) return -ENODEV
    m.options[MULTICAST_IF6] = index
    return 0
  }
  if (name !== IPV6_JOIN_GROUP && name !== IPV6_LEAVE_GROUP) return undefined
  const bad = wrong(call, 20)
  if (bad !== undefined) return bad
  const index = view.getInt32(16, true)
  if (index !== 0 && !isDevice(index)) return -ENODEV
  const group = Address.read(call.data, 0, 16)
  if (!group.isMulticast || group.isV4) return -EINVAL
  return name === IPV6_JOIN_GROUP ? calls.join(group) : calls.leave(group)
}

function ofBoth(level: number, calls: GroupCalls, name: number, call: Call): number | undefined {
  const view = viewOf(call)
  const family = level === IPPROTO_IP ? AF_INET : AF_INET6
  const about = MCAST_SOURCE_CALLS.get(name)
  const named = name === MCAST_JOIN_GROUP || name === MCAST_LEAVE_GROUP || name === MCAST_MSFILTER
  if (!named && about === undefined) return undefined
  const bad = wrong(call, about === undefined ? SOURCE : 2 * SOURCE - GROUP)
  if (bad !== undefined) return bad
  const index = view.getInt32(0, true)
  if (index !== 0 && !isDevice(index)) return -ENODEV
  const group = sockaddrIn(call.data, GROUP, family)
  if (group === undefined || !group.isMulticast)
    return (level === IPPROTO_IP) === (name === MCAST_MSFILTER) ? -EADDRNOTAVAIL : -EINVAL
  if (name === MCAST_JOIN_GROUP) return calls.join(group)
  if (name === MCAST_LEAVE_GROUP) return calls.leave(group)
  if (about !== undefined) {
    const source = sockaddrIn(call.data, SOURCE, family)
    return source === undefined ? -EADDRNOTAVAIL : calls[about](group, source)
  }
  const n = view.getUint32(SOURCE + 4, true)
  if (n > (call.length - SOURCE - 8) / 128) return -EINVAL
  const sources = Array.from({ length: n }, (_, i) =>
    sockaddrIn(call.data, SOURCE + 8 + 128 * i, family),
  )
  if (sources.includes(undefined)) return -EADDRNOTAVAIL
  return calls.setFilter(group, modeOf(view.getUint32(SOURCE, true)), sources as Address[])
}

/** IP_MULTICAST_IF: where datagrams to groups come from. */
function multicastIf(
  m: MessageSocket,
  target: GroupTarget,
  calls: GroupCalls,
  address: Address,
  index: number,
): number {
  const device = deviceOf(calls, address, index)
  if (device < 0) return device === -ENODEV && index === 0 ? -EADDRNOTAVAIL : device
  m.options[MULTICAST_IF] = address.d
  m.options[MULTICAST_IF_INDEX] = index
  target.v4.multicastSource = address
  return 0
}

/** The interface that an index or one of its addresses names; 0: any. */
function deviceOf(calls: GroupCalls, address: Address, index: number): number {
  if (index !== 0) return isDevice(index) ? index : -ENODEV
  if (address.isUnspecified) return 0
  if (!calls.isLocal(address)) return -ENODEV
  return address.isLoopback ? LOOPBACK_INDEX : NIC_INDEX
}

/** getsockopt(2). Undefined: not about groups. */
export function getGroupOption(
  m: MessageSocket,
  target: GroupTarget,
  calls: GroupCalls,
  call: Call,
): number | undefined {
  const [level, name] = call.arg
  const { memberships } = target
  if (level === IPPROTO_IP && name === IP_MSFILTER)
    return giveIpFilter(call, memberships, address => calls.isLocal(address))
  if ((level === IPPROTO_IP || level === IPPROTO_IPV6) && name === MCAST_MSFILTER)
    return giveGroupFilter(call, memberships)
  if (level === IPPROTO_IP && name === IP_MULTICAST_IF) {
    const bytes = int32s(m.options[MULTICAST_IF]).reverse()
    return giveBytes(call, bytes)
  }
  if (level === IPPROTO_IPV6 && name === IPV6_MULTICAST_IF && m.family === AF_INET6)
    return giveInt(call, m.options[MULTICAST_IF6])
  return undefined
}

/** As many as the notes hold: count, then of each the group, its mode, its sources and how many. */
function remember(m: MessageSocket, target: GroupTarget): void {
  const { notes } = m
  let at = 1
  let n = 0
  for (const { group, mode, sources } of target.memberships) {
    if (at + 6 + 4 * sources.length > notes.length) break
    for (const address of [group, ...sources]) {
      notes.set([address.a, address.b, address.c, address.d], at)
      at += 4
      if (address !== group) continue
      notes[at++] = mode === 'INCLUDE' ? 1 : 0
      notes[at++] = sources.length
    }
    n++
  }
  notes[0] = n
}

/** In a new stack thread: the groups of before. */
export function rejoin(m: MessageSocket, target: GroupTarget, calls: GroupCalls): void {
  const { notes } = m
  target.v4.multicastSource = new Address(0, 0, 0xffff, m.options[MULTICAST_IF])
  let at = 1
  const address = () => {
    at += 4
    return new Address(notes[at - 4], notes[at - 3], notes[at - 2], notes[at - 1])
  }
  for (let left = notes[0]; left > 0; left--) {
    const group = address()
    const mode = notes[at++] === 1 ? 'INCLUDE' : 'EXCLUDE'
    const sources = Array.from({ length: notes[at++] }, address)
    if (calls.join(group) === 0 && sources.length > 0) calls.setFilter(group, mode, sources)
  }
}

const isDevice = (index: number) => index === LOOPBACK_INDEX || index === NIC_INDEX
const modeOf = (mode: number): FilterMode => (mode === MODE_INCLUDE ? 'INCLUDE' : 'EXCLUDE')
const viewOf = (call: Call) => new DataView(call.data.buffer, call.data.byteOffset, call.length)

function sockaddrIn(bytes: Uint8Array, at: number, family: number): Address | undefined {
  if ((bytes[at] | (bytes[at + 1] << 8)) !== family) return undefined
  return family === AF_INET ? Address.read(bytes, at + 4, 4) : Address.read(bytes, at + 8, 16)
}
