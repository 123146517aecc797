// Duplicate address detection (RFC 4862 section 5.4), with nonces that tell our own probes when they come back (RFC 7527),
// and the announcement of an address that is ours from now on. An OPTIMISTIC address (RFC 4429) is in use meanwhile.
import { ALL_NODES, ANY_V6, solicitedNode } from '../../wire/address.ts'
import { NA_OVERRIDE, emitNeighborAdvert, emitNeighborSolicit } from '../../wire/ndp.ts'
import type { Mac } from '../../wire/mac.ts'
import type { Addresses, InterfaceAddress } from './addresses.ts'
import type { NetCounters } from './counters.ts'
import type { LinkMessages } from './link-messages.ts'

/** RFC 4862 section 5.1. */
const TRANSMITS = 1
/** More probes when one of ours came back, MAX_MULTICAST_SOLICIT (RFC 7527 section 4.1); then it is taken to be ours. */
const LOOP_TRANSMITS = 3
/** As often as ARP announces: neighbors may know the address at another MAC. */
const ANNOUNCEMENTS = 2
const ANNOUNCE_INTERVAL = 1_000
const NONCE = 6
const MESSAGE = 40

interface Probe {
  left: number
  loops: number
  /** ms; what was never sent is due at once. */
  due: number
  readonly nonce: Uint8Array
}

export interface DadGround {
  readonly addresses: Addresses
  readonly messages: LinkMessages
  readonly counters: NetCounters
  readonly mac: Mac
  readonly retransTimer: number
  random(): number
}

export class Dad {
  private readonly ground: DadGround
  private readonly probes = new Map<InterfaceAddress, Probe>()
  private readonly announcements = new Map<InterfaceAddress, { left: number; due: number }>()
  private up = false

  constructor(ground: DadGround) {
    this.ground = ground
  }

  /** When run() has something to do. */
  get next(): number {
    if (!this.up || this.probes.size + this.announcements.size === 0) return Infinity
    let next = Infinity
    for (const { due } of this.probes.values()) next = Math.min(next, due)
    for (const { due } of this.announcements.values()) next = Math.min(next, due)
    return next
  }

  /** The address is new, or changed its state. */
  changed(entry: InterfaceAddress): void {
    const { state } = entry
    if (state === 'TENTATIVE' || state === 'OPTIMISTIC') {
      if (this.probes.has(entry)) return
      this.probes.set(entry, { left: TRANSMITS, loops: 0, due: -Infinity, nonce: this.nonce() })
    } else {
      this.probes.delete(entry)
      if (state === 'PREFERRED') this.announce(entry)
    }
  }

  forget(entry: InterfaceAddress): void {
    this.probes.delete(entry)
    this.announcements.delete(entry)
  }

  /** Perhaps another link: what was unique on the one need not be on this. */
  linkUp(checks: boolean): void {
    const { addresses } = this.ground
    this.up = true
    if (checks) this.probes.clear()
    for (const entry of addresses.all)
      if (checks && entry.isAssigned && entry.state !== 'OPTIMISTIC')
        addresses.enter(entry, 'OPTIMISTIC')
      else this.changed(entry)
  }

  linkDown(): void {
    this.up = false
  }

  run(now: number): void {
    if (now < this.next) return
    for (const [entry, probe] of this.probes) if (now >= probe.due) this.probe(entry, probe, now)
    for (const [entry, announcement] of this.announcements) {
      if (now < announcement.due) continue
      this.advertise(entry)
      announcement.due = now + ANNOUNCE_INTERVAL
      if (--announcement.left === 0) this.announcements.delete(entry)
    }
  }

  /** Another station asks for, or has, an address of ours: was it only an echo of our own probe? */
  isEcho(entry: InterfaceAddress, nonce: Uint8Array | undefined): boolean {
    const probe = this.probes.get(entry)
    if (probe === undefined || nonce === undefined || nonce.length !== NONCE) return false
    return probe.nonce.every((byte, i) => byte === nonce[i])
  }

  /** Our own probe came back: others of another nonce will show whether it is only that. */
  echoed(entry: InterfaceAddress): void {
    const probe = this.probes.get(entry)
    this.ground.counters.dadLoops++
    if (probe === undefined || probe.loops === LOOP_TRANSMITS) return
    probe.loops++
    probe.left = 1
  }

  private probe(entry: InterfaceAddress, probe: Probe, now: number): void {
    const { addresses, messages, counters, retransTimer } = this.ground
    if (probe.left === 0) {
      this.probes.delete(entry)
      addresses.enter(entry, now < entry.preferredUntil ? 'PREFERRED' : 'DEPRECATED')
      return
    }
    probe.due = now + retransTimer
    const at = messages.open(MESSAGE)
    if (at < 0) return
    probe.left--
    probe.nonce.set(this.nonce())
    const length = emitNeighborSolicit(messages.bytes, at, entry.address, undefined, probe.nonce)
    messages.close(length, ANY_V6, solicitedNode(entry.address))
    counters.nsOut++
  }

  private announce(entry: InterfaceAddress): void {
    this.announcements.set(entry, { left: ANNOUNCEMENTS, due: -Infinity })
  }

  /** To everybody, unasked (RFC 4861 section 7.2.6). */
  private advertise(entry: InterfaceAddress): void {
    const { messages, counters, mac } = this.ground
    const at = messages.open(MESSAGE)
    if (at < 0) return
    const length = emitNeighborAdvert(messages.bytes, at, entry.address, NA_OVERRIDE, mac)
    messages.close(length, entry.address, ALL_NODES)
    counters.naOut++
  }

  private nonce(): Uint8Array {
    return Uint8Array.from({ length: NONCE }, () => this.ground.random())
  }
}
