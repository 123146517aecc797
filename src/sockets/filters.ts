// SO_ATTACH_FILTER and its kin (socket(7)): classic BPF programs, which every kind of socket may have. They are kept in
// the table, so that a new stack thread finds them.
import { EINVAL, ENOENT, ENOMEM, EOPNOTSUPP, EPERM } from '../base/errno.ts'
import { CALL_DATA_SIZE } from '../shm/layout.ts'
import { AD_MAX, INSTRUCTION_LEN, Program } from '../stack/stack.ts'
import type { Call } from './calls.ts'
import type { Ground } from './ground.ts'
import type { SocketRecord } from './record.ts'
import * as T from './table.ts'

export const SO_ATTACH_FILTER = 26
export const SO_DETACH_FILTER = 27
export const SO_LOCK_FILTER = 44
const SO_BPF_EXTENSIONS = 48
const SO_ATTACH_BPF = 50

/** setsockopt(2) at SOL_SOCKET. Undefined: none of these. Positive: more of the program is to come (uploads.ts). */
export function setFilterOption(ground: Ground, s: SocketRecord, call: Call): number | undefined {
  const locked = s.get(T.FILTER_LOCKED) !== 0
  switch (call.arg[1]) {
    case SO_ATTACH_FILTER:
      return attach(ground, s, call, locked)
    case SO_DETACH_FILTER:
      if (locked) return -EPERM
      if (s.filter === undefined) return -ENOENT
      s.filter = undefined
      ground.table.keepFilter(s.index, new Uint8Array(0))
      return 0
    case SO_LOCK_FILTER: {
      const on = intOf(call) !== 0
      if (locked && !on) return -EPERM
      s.set(T.FILTER_LOCKED, Number(on))
      return 0
    }
    case SO_ATTACH_BPF:
      return attachExtended(call, locked)
    default:
      return undefined
  }
}

function attach(ground: Ground, s: SocketRecord, call: Call, locked: boolean): number {
  if (locked) return -EPERM
  const bytes = ground.uploads.take(call)
  if (typeof bytes === 'number') return bytes
  const program = Program.load(bytes)
  if (typeof program === 'number') return program
  if (!ground.table.keepFilter(s.index, program.source)) return -ENOMEM
  s.filter = program
  return 0
}

/**
 * An eBPF program is the kernel's: the answer is that of a kernel without bpf(2). call.arg[3]: what is wrong with the
 * descriptor that should be one, an errno, or 0.
 */
function attachExtended(call: Call, locked: boolean): number {
  if (call.length !== 4) return -EINVAL
  return locked ? -EPERM : -(call.arg[3] || EOPNOTSUPP)
}

const intOf = ({ data, length }: Call): number =>
  length < 4 ? 0 : data[0] | (data[1] << 8) | (data[2] << 16) | (data[3] << 24)

/**
 * getsockopt(2): the part of the program at byte call.arg[3], and how many instructions it has; 0 without one. The others' value
 * is an int. Undefined: none of these.
 */
export function getFilterOption(s: SocketRecord, call: Call): number | undefined {
  switch (call.arg[1]) {
    case SO_ATTACH_FILTER: {
      const source = s.filter?.source
      if (source === undefined) return 0
      const at = Math.max(0, call.arg[3])
      const part = source.subarray(at, at + CALL_DATA_SIZE)
      call.out.set(part)
      call.outLength = part.length
      return source.length / INSTRUCTION_LEN
    }
    case SO_LOCK_FILTER:
      return giveInt(call, s.get(T.FILTER_LOCKED))
    case SO_BPF_EXTENSIONS:
      return giveInt(call, AD_MAX)
    default:
      return undefined
  }
}

function giveInt(call: Call, value: number): number {
  new DataView(call.out.buffer, call.out.byteOffset, 4).setInt32(0, value, true)
  call.outLength = Math.min(4, call.arg[2])
  return 0
}

/** An accepted connection has its listener's, and one that is tried again what it had. */
export function copyFilter(ground: Ground, from: SocketRecord, to: SocketRecord): void {
  to.set(T.FILTER_LOCKED, from.get(T.FILTER_LOCKED))
  const { filter } = from
  if (filter !== undefined && ground.table.keepFilter(to.index, filter.source)) to.filter = filter
}

/** After a change of stack threads. */
export function recoverFilter(ground: Ground, s: SocketRecord): void {
  const bytes = ground.table.filter(s.index)
  if (bytes === undefined) return
  const program = Program.load(bytes)
  if (typeof program === 'number') throw new Error(`record ${s.index} has a filter of noise`)
  s.filter = program
}
