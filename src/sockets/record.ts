// A virtual socket's two records: its row in the private table, which only the server sees, and its part of the shared
// region, where programs read what getsockname(2) and its kin answer. What streams and message sockets have in common.
import { ADDR, ADDR_SIZE, RECORD, RECORD_SIZE } from '../shm/layout.ts'
import { recordWord, type Region } from '../shm/region.ts'
import type { Program } from '../stack/stack.ts'
import { Address } from '../wire/address.ts'
import { scopeIdOf } from './sockaddr.ts'
import * as T from './table.ts'
import * as libc from '../ffi/libc.ts'

/** Between the answer to socket() and its bind() to the record's name a program is not this long, unless it died. */
const UNNAMED_MS = 10_000

const ALL_WAITERS = 0x7fffffff

export class SocketRecord {
  readonly index: number
  readonly options: Int32Array
  /** SO_ATTACH_FILTER. */
  filter: Program | undefined
  readonly #row: number
  readonly #table: Int32Array
  readonly #record: number
  readonly #region: Region

  constructor(region: Region, table: T.SocketTable, index: number) {
    this.index = index
    this.#region = region
    this.#table = table.words
    this.#row = index * T.ROW_WORDS
    this.#record = recordWord(index)
    this.options = this.#table.subarray(this.#row + T.OPTIONS, this.#row + T.FILTER)
  }

  get(column: number): number {
    return this.#table[this.#row + column]
  }
  set(column: number, value: number): void {
    this.#table[this.#row + column] = value
  }
  has(flag: number): boolean {
    return (this.#table[this.#row + T.FLAGS] & flag) !== 0
  }
  mark(flag: number): void {
    this.#table[this.#row + T.FLAGS] |= flag
  }
  unmark(flag: number): void {
    this.#table[this.#row + T.FLAGS] &= ~flag
  }

  get state(): number {
    return this.get(T.STATE)
  }
  get generation(): number {
    return this.get(T.GENERATION) >>> 0
  }
  /** The server's end of the AF_UNIX socket, -1 while there is none. */
  get fd(): number {
    return this.get(T.FD)
  }
  get native(): boolean {
    return this.has(T.NATIVE)
  }

  get local(): Address {
    return this.address(T.LOCAL)
  }
  set local(a: Address) {
    this.setAddress(T.LOCAL, a)
  }
  /** What bind() took. */
  get boundTo(): Address {
    return this.address(T.BOUND_ADDRESS)
  }
  set boundTo(a: Address) {
    this.setAddress(T.BOUND_ADDRESS, a)
  }

  /** A word of the shared record, written only (the program's words: read once, checked by the caller). */
  share(field: number, value: number): void {
    Atomics.store(this.#region.words, this.#record + field / 4, value)
  }
  peek(field: number): number {
    return Atomics.load(this.#region.words, this.#record + field / 4)
  }
  swap(field: number, value: number): number {
    return Atomics.exchange(this.#region.words, this.#record + field / 4, value)
  }
  shareFlag(flag: number): void {
    Atomics.or(this.#region.words, this.#record + RECORD.flags / 4, flag)
  }
  unshareFlag(flag: number): void {
    Atomics.and(this.#region.words, this.#record + RECORD.flags / 4, ~flag)
  }
  compareSwap(field: number, from: number, to: number): boolean {
    return Atomics.compareExchange(this.#region.words, this.#record + field / 4, from, to) === from
  }

  /** socket() of process `slot`, which binds the record's name to its AF_UNIX socket next. */
  madeBy(slot: number, now: number): void {
    this.set(T.MADE_BY, slot)
    this.set(T.MADE_AT, Math.floor(now / 1000))
  }

  /** Process `slot` has ended: what it had not named by then nobody will. True: that is so of this one. */
  makerEnded(slot: number): boolean {
    const left = this.get(T.MADE_BY) === slot && this.peek(RECORD.named) === 0
    if (left) this.set(T.MADE_AT, -UNNAMED_MS)
    return left
  }

  /** Is it named, or will it never be? Only then a probe of the name tells whether it is held. */
  isSettled(now: number): boolean {
    return this.peek(RECORD.named) !== 0 || now - this.get(T.MADE_AT) * 1000 > UNNAMED_MS
  }

  /** Takes a lock (RECORD.wlock or rlock) from process `slot`, which has ended, and wakes who waits. True: it had it. */
  breakLock(lock: number, slot: number): boolean {
    const held = this.peek(lock)
    if (((held >>> 19) & 0xfff) !== slot || !this.compareSwap(lock, held, 0)) return false
    libc.futexWake(this.#region.address + (this.#record + lock / 4) * 4, ALL_WAITERS)
    return true
  }

  /** Writes the record's family, type and protocol. */
  shareKind(family: number, type: number, protocol: number): void {
    this.#region.words[this.#record + RECORD.family / 4] = family | (type << 16)
    this.#region.words[this.#record + RECORD.protocol / 4] = protocol
  }

  /** Writes a name (RECORD.local or RECORD.peer) as the socket's family shows it. */
  shareName(field: number, address: Address, port: number): void {
    const b = this.#region.bytes
    const at = this.#record * 4 + field
    const v6 = this.get(T.FAMILY) === libc.AF_INET6
    b[at + ADDR.family] = v6 ? libc.AF_INET6 : libc.AF_INET
    b[at + ADDR.family + 1] = 0
    b[at + ADDR.port] = port >> 8
    b[at + ADDR.port + 1] = port & 0xff
    b[at + ADDR.scope_id] = v6 ? scopeIdOf(address) : 0
    const words = v6 ? [address.a, address.b, address.c, address.d] : [address.d, 0, 0, 0]
    words.forEach((w, i) => {
      b[at + ADDR.addr + 4 * i] = w >> 24
      b[at + ADDR.addr + 4 * i + 1] = w >> 16
      b[at + ADDR.addr + 4 * i + 2] = w >> 8
      b[at + ADDR.addr + 4 * i + 3] = w
    })
  }

  /** The name as struct sockaddr has it. */
  sharedName(field: number): Uint8Array {
    const at = this.#record * 4 + field
    const b = this.#region.bytes
    const word = (from: number, n: number) => [...b.subarray(at + from, at + from + n)]
    const head = [...word(ADDR.family, 2), ...word(ADDR.port, 2)]
    return this.get(T.FAMILY) === libc.AF_INET6
      ? Uint8Array.from([...head, 0, 0, 0, 0, ...word(ADDR.addr, 16), ...word(ADDR.scope_id, 4)])
      : Uint8Array.from([...head, ...word(ADDR.addr, 4), 0, 0, 0, 0, 0, 0, 0, 0])
  }

  /** Writes a name that is neither IPv4's nor IPv6's: a sockaddr as it is, at most 24 bytes. */
  shareSockaddr(field: number, sockaddr: Uint8Array): void {
    const at = this.#record * 4 + field
    this.#region.bytes.fill(0, at, at + ADDR_SIZE)
    this.#region.bytes.set(sockaddr.subarray(0, ADDR_SIZE), at)
  }

  /** Makes the shared record a new socket's: everything 0 but the generation. */
  clearRecord(): void {
    this.#region.words.fill(0, this.#record + 1, this.#record + RECORD_SIZE / 4)
    Atomics.store(this.#region.words, this.#record, this.generation | 0)
  }

  protected address(column: number): Address {
    const at = this.#row + column
    const t = this.#table
    return new Address(t[at], t[at + 1], t[at + 2], t[at + 3])
  }
  protected setAddress(column: number, a: Address): void {
    this.#table.set([a.a, a.b, a.c, a.d], this.#row + column)
  }
}
