// Which sources of a group a socket hears, as getsockopt(2) tells (IP_MSFILTER, MCAST_MSFILTER; RFC 3678). What exactly is
// asked for lies in the value; call.arg[3] says whether it can be read.
import { EADDRNOTAVAIL, EFAULT, EINVAL, ENODEV } from '../base/errno.ts'
import { AF_INET, AF_INET6 } from '../ffi/libc.ts'
import { CALL_DATA_SIZE } from '../shm/layout.ts'
import { type FilterMode, LOOPBACK_INDEX, NIC_INDEX } from '../stack/stack.ts'
import { Address } from '../wire/address.ts'
import type { Call } from './calls.ts'
import { giveBytes, IPPROTO_IP, READABLE, roomOf } from './option-rules.ts'

/** A membership as the core has it. */
export interface Joined {
  readonly group: Address
  readonly mode: FilterMode
  readonly sources: readonly Address[]
}

const MODE_EXCLUDE = 0
const MODE_INCLUDE = 1

/** struct ip_msfilter: group, interface (an address), mode, number of sources, sources. */
const IP_HEAD = 16
/** struct group_filter: interface (an index), group, mode, number of sources, sources; each a sockaddr_storage. */
const GROUP = 8
const MODE = 136
const COUNT = 140
const HEAD = 144
const STORAGE = 128

/** IP_MSFILTER. `isLocal`: is the address one of ours? */
export function giveIpFilter(
  call: Call,
  joined: readonly Joined[],
  isLocal: (address: Address) => boolean,
): number {
  const bad = unreadable(call, IP_HEAD)
  if (bad !== undefined) return bad
  const asked = Uint8Array.from(call.data.subarray(0, IP_HEAD))
  const group = Address.read(asked, 0, 4)
  if (!group.isMulticast) return -EINVAL
  const device = Address.read(asked, 4, 4)
  if (!device.isUnspecified && !isLocal(device)) return -ENODEV
  const found = joined.find(j => j.group.equals(group))
  if (found === undefined) return -EADDRNOTAVAIL
  const { view, most } = answer(call, asked, IP_HEAD, 4, 12)
  view.setUint32(8, modeOf(found), true)
  view.setUint32(12, found.sources.length, true)
  const sources = found.sources.slice(0, most)
  sources.forEach((s, i) => view.setInt32(IP_HEAD + 4 * i, s.d))
  return giveBytes(call, new Uint8Array(view.buffer, 0, IP_HEAD + 4 * sources.length))
}

/** MCAST_MSFILTER, at either level. */
export function giveGroupFilter(call: Call, joined: readonly Joined[]): number {
  const bad = unreadable(call, HEAD)
  if (bad !== undefined) return bad
  const family = call.arg[0] === IPPROTO_IP ? AF_INET : AF_INET6
  const asked = Uint8Array.from(call.data.subarray(0, HEAD))
  const at = family === AF_INET ? GROUP + 4 : GROUP + 8
  if ((asked[GROUP] | (asked[GROUP + 1] << 8)) !== family)
    return family === AF_INET ? -EINVAL : -EADDRNOTAVAIL
  const group = Address.read(asked, at, family === AF_INET ? 4 : 16)
  if (!group.isMulticast) return -EINVAL
  const index = new DataView(asked.buffer).getUint32(0, true)
  if (index !== 0 && index !== LOOPBACK_INDEX && index !== NIC_INDEX) return -ENODEV
  const found = joined.find(j => j.group.equals(group))
  if (found === undefined) return -EADDRNOTAVAIL
  const { view, most } = answer(call, asked, HEAD, STORAGE, COUNT)
  view.setUint32(MODE, modeOf(found), true)
  view.setUint32(COUNT, found.sources.length, true)
  const sources = found.sources.slice(0, most)
  sources.forEach((source, i) => {
    const to = HEAD + STORAGE * i
    view.setUint16(to, family, true)
    if (family === AF_INET) view.setInt32(to + 4, source.d)
    else source.write(new Uint8Array(view.buffer), to + 8)
  })
  return giveBytes(call, new Uint8Array(view.buffer, 0, HEAD + STORAGE * sources.length))
}

function unreadable({ arg, length }: Call, least: number): number | undefined {
  if (arg[2] < least) return -EINVAL
  return arg[3] === READABLE && length >= least ? undefined : -EFAULT
}

/** What was asked, to be filled in, and for how many sources there is room: as many as the program says, and a call carries. */
function answer(call: Call, asked: Uint8Array, head: number, each: number, count: number) {
  const view = new DataView(new ArrayBuffer(CALL_DATA_SIZE))
  new Uint8Array(view.buffer).set(asked)
  const room = Math.floor((roomOf(call) - head) / each)
  return { view, most: Math.min(view.getUint32(count, true), room) }
}

const modeOf = ({ mode }: Joined) => (mode === 'INCLUDE' ? MODE_INCLUDE : MODE_EXCLUDE)
