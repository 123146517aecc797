// How Linux takes and gives the value of a socket option: length, pointer and range looked at in its order, level by
// level (what 6.18 does, where socket(7), ip(7), ipv6(7), tcp(7) and udp(7) are silent). What an option means is its
// table's.
import { EFAULT, EINVAL, ENOPROTOOPT } from '../base/errno.ts'
import { CALL_DATA_SIZE } from '../shm/layout.ts'
import type { Call } from './calls.ts'

export const SOL_SOCKET = 1
export const IPPROTO_IP = 0
export const IPPROTO_TCP = 6
export const IPPROTO_UDP = 17
export const IPPROTO_IPV6 = 41
export const SOL_RAW = 255

/** call.arg[2] of setsockopt(): can the value be read? */
export const READABLE = 0
export const UNREADABLE = 1
export const NULL = 2

/** An option that is a number. */
export interface Rule {
  readonly level: number
  readonly name: number
  /** 'flag' shows 0 or 1 whatever was set; 'fixed' can be read only. */
  readonly kind: 'flag' | 'int' | 'fixed'
  readonly initial?: number
  /** Where an AF_INET6 socket begins otherwise. */
  readonly initial6?: number
  readonly min?: number
  readonly max?: number
  /** 0 may be set, whatever the least is. */
  readonly zero?: true
  /** What Linux makes of a value before it looks whether it is in range. */
  readonly adjust?: (value: number) => number
  /** What setting it answers, once the value was read and is in range. */
  readonly refuses?: number
  /** IPPROTO_IP takes a byte, or nothing (0), instead of an int; these not nothing. IPPROTO_IPV6 takes less than an int for these. */
  readonly length?: 'byte' | 'any'
  /** Can be set only. */
  readonly hidden?: true
}

/** Where in a socket's options the number lies. */
export interface Placed {
  readonly column: number
}

// Columns that all sockets have; options.ts, ip-options.ts and common-options.ts give out the others.
export const OPT_REUSEADDR = 0
export const OPT_V6ONLY = 1
/** 0: autotuned; else bytes asked for with SO_SNDBUF, SO_RCVBUF (getsockopt shows twice that, as Linux). */
export const OPT_SNDBUF = 2
export const OPT_RCVBUF = 3
export const OPT_REUSEPORT = 10

export function key(level: number, name: number): number {
  return level * 65536 + name
}

export const keyOf = ({ level, name }: Rule): number => key(level, name)

export const flags = (level: number, names: number[], more: Partial<Rule> = {}): Rule[] =>
  names.map(name => ({ level, name, kind: 'flag', ...more }))

export const fixed = (level: number, name: number, initial: number): Rule => ({ level, name, kind: 'fixed', initial }) // prettier-ignore

/** Linux reads the value, and then says no to all of them. */
export const refused = (level: number, name: number, refuses: number, initial = 0): Rule => ({ level, name, kind: 'int', refuses, initial }) // prettier-ignore

/** Levels whose options are an int or more, whatever they are. */
const takesInts = (level: number) => level !== IPPROTO_IP && level !== IPPROTO_IPV6

/** IPPROTO_IPV6 reads an int before it looks what is asked. */
export const isUnreadable6 = ({ arg, length }: Call): boolean =>
  arg[0] === IPPROTO_IPV6 && length >= 4 && arg[2] === UNREADABLE

/** setsockopt(2) of a number: 0, or what its length and pointer are wrong for. Undefined: there is no such option. */
export function checkValue(rule: Rule | undefined, { arg, length }: Call): number {
  const [level, , state] = arg
  if (takesInts(level)) {
    if (length < 4) return -EINVAL
    if (state !== READABLE) return -EFAULT
    return rule === undefined ? -ENOPROTOOPT : 0
  }
  if (level === IPPROTO_IPV6) {
    if (length >= 4) return rule === undefined ? -ENOPROTOOPT : 0
    if (rule === undefined || rule.kind === 'fixed') return -ENOPROTOOPT
    return rule.length === 'any' ? 0 : -EINVAL
  }
  if (rule === undefined) return -ENOPROTOOPT
  if (length < 1 && rule.length === 'byte') return -EINVAL
  return state !== READABLE && length > 0 ? -EFAULT : 0
}

/** The number that was given; 0 where there is none. */
export function intOf(call: Call): number {
  const { arg, length, data } = call
  if (arg[2] !== READABLE) return 0
  if (length >= 4) return viewOf(call).getInt32(0, true)
  return arg[0] === IPPROTO_IP && length >= 1 ? data[0] : 0
}

/** What the option holds when it is set to `value`. */
export function storedOf(rule: Rule, value: number): number {
  return rule.kind === 'flag' ? Number(value !== 0) : (rule.adjust?.(value) ?? value)
}

/** 0, or why storedOf()'s answer may not be set. */
export function checkRange({ kind, min, max, zero, refuses }: Rule, stored: number): number {
  if (kind === 'fixed') return -ENOPROTOOPT
  const outside = stored < (min ?? -0x80000000) || stored > (max ?? 0x7fffffff)
  if (kind === 'int' && outside && !(zero === true && stored === 0)) return -EINVAL
  return refuses === undefined ? 0 : -refuses
}

/** Too short: -EINVAL; cannot be read: -EFAULT; else undefined. */
export function wrong({ arg, length }: Call, least: number): number | undefined {
  if (length < least) return -EINVAL
  return arg[2] === READABLE || length === 0 ? undefined : -EFAULT
}

export const viewOf = ({ data }: Call): DataView =>
  new DataView(data.buffer, data.byteOffset, CALL_DATA_SIZE)

// ---- getsockopt(2)

/** How much the program takes. IPv6 takes a negative length for a great one. */
export const roomOf = ({ arg }: Call): number =>
  (arg[0] === IPPROTO_IPV6 || arg[0] === SOL_RAW) && arg[2] < 0
    ? CALL_DATA_SIZE
    : Math.min(arg[2], CALL_DATA_SIZE)

/** An int, as much of it as there is room for; of ip(7)'s one byte, if that is enough for it. */
export function giveInt(call: Call, value: number): number {
  const room = roomOf(call)
  if (call.arg[0] === IPPROTO_IP && room > 0 && room < 4 && value >= 0 && value <= 255) {
    call.out[0] = value
    call.outLength = 1
    return 0
  }
  return giveBytes(call, int32s(value))
}

export function giveBytes(call: Call, bytes: Uint8Array): number {
  const n = Math.min(roomOf(call), bytes.length)
  call.out.set(bytes.subarray(0, n))
  call.outLength = n
  return 0
}

export const int32s = (...values: number[]) => new Uint8Array(Int32Array.from(values).buffer)

/** A name and its zero byte. */
export const textOf = ({ data, length }: Call): string => {
  const end = data.subarray(0, length).indexOf(0)
  return Buffer.from(data.subarray(0, end < 0 ? length : end)).toString('latin1')
}
