// The addresses of an interface, of one family: from whom each is, how long it may be used, what state it is in (RFC 4862
// section 5.5 has the words, and IPv4 leases fit them). They come and go while the stack runs; `generation` counts how
// often, so that who remembers a choice knows when to choose again.
import { i32 } from '../../base/bytes.ts'
import { type Address, maskV4 } from '../../wire/address.ts'
import type { Prefix } from '../../wire/address-text.ts'

/**
 * TENTATIVE: not ours yet, duplicate address detection is under way. OPTIMISTIC: the same, but used already (RFC 4429).
 * DEPRECATED: for connections that have it. DUPLICATED: another station has it; never used.
 */
export type AddressState = 'TENTATIVE' | 'OPTIMISTIC' | 'PREFERRED' | 'DEPRECATED' | 'DUPLICATED'
export type AddressOrigin = 'static' | 'link-local' | 'slaac' | 'dhcp'

export class InterfaceAddress {
  readonly address: Address
  readonly prefixLength: number
  readonly origin: AddressOrigin
  /** Changed by Addresses only. */
  state: AddressState
  /** Until when, ms of the stack's clock; Infinity: for ever. */
  preferredUntil: number
  validUntil: number
  /** The directed broadcast of an IPv4 network; undefined where there is none (IPv6; RFC 3021: /31, and /32). */
  readonly broadcast: number | undefined

  constructor(
    prefix: Prefix,
    origin: AddressOrigin,
    state: AddressState,
    preferredUntil: number,
    validUntil: number,
  ) {
    const { address, prefixLength } = prefix
    this.address = address
    this.prefixLength = prefixLength
    this.origin = origin
    this.state = state
    this.preferredUntil = preferredUntil
    this.validUntil = validUntil
    if (address.isV4 && prefixLength <= 30) this.broadcast = address.d | ~maskV4(prefixLength)
  }

  /** Packets to and from it are ours. */
  get isAssigned(): boolean {
    return this.state !== 'TENTATIVE' && this.state !== 'DUPLICATED'
  }
}

export class Addresses {
  /** In the order in which they came. */
  private list: InterfaceAddress[] = []
  generation = 0
  /** An address was added (`gone` false), changed its state (false), or was taken away (true). */
  onChange: (address: InterfaceAddress, gone: boolean) => void = () => {}

  get all(): readonly InterfaceAddress[] {
    return this.list
  }

  /** Adds an address, or takes it up anew with another origin and lifetimes; the older entry's place and state stay. */
  add(entry: InterfaceAddress): InterfaceAddress {
    const old = this.find(entry.address)
    if (old !== undefined && old.prefixLength === entry.prefixLength) {
      old.preferredUntil = entry.preferredUntil
      old.validUntil = entry.validUntil
      if (old.state === 'DEPRECATED') this.enter(old, 'PREFERRED')
      return old
    }
    if (old !== undefined) this.remove(old.address)
    this.list = [...this.list, entry]
    this.generation++
    this.onChange(entry, false)
    return entry
  }

  /** False: there is no such address. */
  remove(address: Address): boolean {
    const entry = this.find(address)
    if (entry === undefined) return false
    this.list = this.list.filter(other => other !== entry)
    this.generation++
    this.onChange(entry, true)
    return true
  }

  /** The one place where a state changes. */
  enter(entry: InterfaceAddress, state: AddressState): void {
    if (entry.state === state) return
    entry.state = state
    this.generation++
    this.onChange(entry, false)
  }

  find(address: Address): InterfaceAddress | undefined {
    for (const entry of this.list) if (entry.address.equals(address)) return entry
    return undefined
  }

  /** Is it ours, and assigned? */
  has(address: Address): boolean {
    return this.find(address)?.isAssigned ?? false
  }

  /** The same for an IPv4 address as a word: asked for every packet. */
  hasWord(word: number): boolean {
    for (const entry of this.list) if (entry.address.d === word && entry.isAssigned) return true
    return false
  }

  /** The same for an IPv6 address in a packet. */
  hasAt(bytes: Uint8Array, i: number): boolean {
    const d = i32(bytes, i + 12)
    for (const { address, isAssigned } of this.list)
      if (address.d === d && isAssigned && address.c === i32(bytes, i + 8))
        if (address.b === i32(bytes, i + 4) && address.a === i32(bytes, i)) return true
    return false
  }

  /** Our assigned address on the network of `address`; undefined: that is not on this link. */
  onLinkWith(address: Address): InterfaceAddress | undefined {
    for (const entry of this.list)
      if (entry.isAssigned && entry.address.matches(address, entry.prefixLength)) return entry
    return undefined
  }

  /** A network's directed broadcast address (RFC 1122 section 3.2.1.3). */
  isDirectedBroadcast(word: number): boolean {
    for (const entry of this.list) if (entry.broadcast === word && entry.isAssigned) return true
    return false
  }

  /** When run() has something to do. */
  get next(): number {
    let next = Infinity
    for (const { state, preferredUntil, validUntil } of this.list)
      next = Math.min(next, state === 'PREFERRED' ? preferredUntil : Infinity, validUntil)
    return next
  }

  /** Lifetimes that are over (RFC 4862 section 5.5.4). */
  run(now: number): void {
    if (now < this.next) return
    for (const entry of this.list)
      if (now >= entry.validUntil) this.remove(entry.address)
      else if (now >= entry.preferredUntil && entry.state === 'PREFERRED')
        this.enter(entry, 'DEPRECATED')
  }
}
