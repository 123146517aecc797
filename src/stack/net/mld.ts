// Multicast listener discovery: tells routers and switches which groups we hear, version 2 (RFC 3810) with source filters,
// or version 1 (RFC 2710) while a router speaks that. What changes is told at once and again, since reports get lost; what
// is asked is answered after a random time, all groups together.
import { ALL_MLDV2_ROUTERS, ALL_NODES, ALL_ROUTERS, ANY_V6, Address, isLinkLocal } from '../../wire/address.ts' // prettier-ignore
import { type Icmpv6Message, MLD_DONE, MLD_QUERY, MLD_REPORT } from '../../wire/icmpv6.ts'
import { IPV6_HEADER_LEN } from '../../wire/ipv6.ts'
import {
  ALLOW_NEW_SOURCES,
  BLOCK_OLD_SOURCES,
  CHANGE_TO_EXCLUDE,
  CHANGE_TO_INCLUDE,
  MLD_LEN,
  MODE_IS_EXCLUDE,
  MODE_IS_INCLUDE,
  type MldQuery,
  type MldRecord,
  ROUTER_ALERT_LEN,
  emitMldReport,
  emitMldV1,
  hasRouterAlert,
  mldRecordLength,
  parseMldQuery,
} from '../../wire/mldv2.ts'
import type { LinkUser, Nic } from '../link/nic.ts'
import type { Addresses } from './addresses.ts'
import type { NetCounters } from './counters.ts'
import { type FilterMode, type Group, type Groups, has } from './groups.ts'
import type { Icmpv6 } from './icmpv6.ts'
import type { LinkMessages } from './link-messages.ts'
import type { Packet } from './path.ts'
import { scopeOf } from './selection.ts'

/** RFC 3810 section 9, ms. */
const ROBUSTNESS = 2
const UNSOLICITED_REPORT_INTERVAL = 1_000
const QUERY_INTERVAL = 125_000
/** No answer comes sooner after the last: who asks in a flood gets no flood. */
const MIN_ANSWER_INTERVAL = 100
/** When the link has no room. */
const RETRY = 10
/** Changes of so many groups wait to be told (again); the oldest are forgotten, a query will find them. */
const MAX_CHANGES = 10_000
const REPORT_HEADER = 8

/** What of a group's change is still to be told, and how often. */
interface Change {
  group: Group
  modeLeft: number
  readonly sources: Map<string, { readonly source: Address; left: number }>
}

/** When to answer a query for one group, and for which sources; none: all of the group. */
interface Answer {
  readonly group: Address
  due: number
  sources: readonly Address[]
}

export interface MldGround {
  readonly nic: Nic
  readonly addresses: Addresses
  readonly groups: Groups
  readonly counters: NetCounters
  readonly icmp: Icmpv6
  readonly messages: LinkMessages
  random(): number
}

export class Mld implements LinkUser {
  private readonly ground: MldGround
  private readonly changes = new Map<string, Change>()
  private changeAt = Infinity
  private generalAt = Infinity
  private lastAnswer = -Infinity
  private readonly answers = new Map<string, Answer>()
  /** Records that found no room yet. */
  private waiting: MldRecord[] = []
  private retryAt = Infinity
  private robustness = ROBUSTNESS
  private interval = QUERY_INTERVAL
  /** A router speaks version 1 only, it seems, until then (section 8.2.1). */
  private version1Until = -Infinity
  private up = false

  constructor(ground: MldGround) {
    this.ground = ground
    ground.nic.users.push(this)
    ground.icmp.handlers.set(MLD_QUERY, (p, m, now) => this.queryArrives(p, m, now))
    ground.icmp.handlers.set(MLD_REPORT, (p, m) => this.reportArrives(p, m))
  }

  /** When run() has something to do. */
  get next(): number {
    if (!this.up) return Infinity
    let next = Math.min(this.changeAt, this.generalAt, this.retryAt)
    if (this.answers.size === 0) return next
    for (const { due } of this.answers.values()) next = Math.min(next, due)
    return next
  }

  /** What is wanted of the group was `mode` and `sources` (section 6.1). */
  changed(group: Group, mode: FilterMode, sources: readonly Address[]): void {
    if (!this.up || !isReported(group.address)) return
    const key = keyOf(group.address)
    const change = this.changes.get(key) ?? { group, modeLeft: 0, sources: new Map() }
    change.group = group
    if (mode !== group.mode) {
      change.modeLeft = this.robustness
      change.sources.clear()
    } else
      for (const source of [...sources, ...group.sources])
        if (has(sources, source) !== has(group.sources, source))
          change.sources.set(keyOf(source), { source, left: this.robustness })
    this.changes.delete(key)
    if (this.changes.size >= MAX_CHANGES) this.changes.delete(this.changes.keys().next().value!)
    this.changes.set(key, change)
    this.changeAt = -Infinity
  }

  /** Nobody on this link knows yet. */
  linkUp(): void {
    this.up = true
    this.version1Until = -Infinity
    for (const group of this.ground.groups.all()) this.changed(group, 'INCLUDE', [])
  }

  linkDown(): void {
    this.up = false
    this.changes.clear()
    this.answers.clear()
    this.waiting = []
    this.changeAt = this.generalAt = this.retryAt = Infinity
  }

  run(now: number): void {
    if (now < this.next) return
    const version1 = now < this.version1Until
    const records: MldRecord[] = this.waiting
    this.waiting = []
    this.retryAt = Infinity
    if (now >= this.changeAt) {
      for (const [key, change] of this.changes) {
        takeChange(change, records)
        if (change.modeLeft === 0 && change.sources.size === 0) this.changes.delete(key)
      }
      const again = now + UNSOLICITED_REPORT_INTERVAL * this.chance()
      this.changeAt = this.changes.size > 0 ? again : Infinity
    }
    if (now >= this.generalAt) {
      this.generalAt = Infinity
      this.lastAnswer = now
      for (const group of this.ground.groups.all()) takeState(group, records)
    }
    for (const [key, answer] of this.answers)
      if (now >= answer.due) {
        this.answers.delete(key)
        this.lastAnswer = now
        const group = this.ground.groups.find(answer.group)
        if (group !== undefined) takeAnswer(group, answer, records)
      }
    if (version1) this.sendVersion1(records, now)
    else this.send(records, now)
  }

  /** Section 6.2. */
  private queryArrives(packet: Packet, message: Icmpv6Message, now: number): void {
    const { counters, groups } = this.ground
    const { bytes, at, length } = message
    const query = isLocal(packet) ? parseMldQuery(bytes, at, length) : undefined
    if (query === undefined) {
      counters.mldInvalid++
      return
    }
    counters.mldQueriesIn++
    this.learn(query, now)
    const { maxResponseDelay: delay, sources } = query
    if (!query.group.isUnspecified) {
      if (groups.find(query.group) !== undefined) this.answer(query.group, sources, delay, now)
    } else if (now < this.version1Until)
      for (const { address, isWanted } of groups.all()) {
        if (isWanted) this.answer(address, sources, delay, now)
      }
    else this.generalAt = Math.min(this.generalAt, this.dueWithin(delay, now))
  }

  /** One group, or some of its sources, are to be told of. */
  private answer(group: Address, sources: readonly Address[], delay: number, now: number): void {
    const due = this.dueWithin(delay, now)
    if (!isReported(group) || this.generalAt <= due) return
    const key = keyOf(group)
    const pending = this.answers.get(key)
    if (pending === undefined) {
      this.answers.set(key, { group, due, sources: sources.slice(0, MAX_SOURCES) })
      return
    }
    pending.due = Math.min(pending.due, due)
    // Of all of the group, if the one or the other asked for that.
    const all = pending.sources.length === 0 || sources.length === 0
    const more = sources.filter(source => !has(pending.sources, source))
    pending.sources = all ? [] : [...pending.sources, ...more].slice(0, MAX_SOURCES)
  }

  private dueWithin(delay: number, now: number): number {
    return Math.max(now + delay * this.chance(), this.lastAnswer + MIN_ANSWER_INTERVAL)
  }

  private learn(query: MldQuery, now: number): void {
    if (query.version === 1) {
      this.version1Until = now + this.robustness * this.interval + query.maxResponseDelay
      return
    }
    if (query.robustness > 0) this.robustness = Math.max(query.robustness, ROBUSTNESS)
    if (query.interval > 0) this.interval = query.interval * 1000
  }

  /** Version 1: what another has said need not be said again (RFC 2710 section 4). */
  private reportArrives(packet: Packet, message: Icmpv6Message): void {
    const { bytes, body, length } = message
    if (length < MLD_LEN || !isLocal(packet)) {
      this.ground.counters.mldInvalid++
      return
    }
    this.answers.delete(keyOf(Address.read(bytes, body, 16)))
  }

  /** Version 2: as many records in each report as the link takes. */
  private send(records: readonly MldRecord[], now: number): void {
    const room = this.ground.nic.mtu - IPV6_HEADER_LEN - ROUTER_ALERT_LEN - REPORT_HEADER
    const fitting = records.flatMap(record => split(record, room))
    for (let i = 0; i < fitting.length;) {
      let length = 0
      let end = i
      while (end < fitting.length && length + mldRecordLength(fitting[end]) <= room)
        length += mldRecordLength(fitting[end++])
      if (!this.sendReport(fitting.slice(i, end), length)) return this.wait(fitting.slice(i), now)
      i = end
    }
  }

  private sendReport(records: readonly MldRecord[], length: number): boolean {
    const { messages, counters } = this.ground
    const at = messages.openAlert(REPORT_HEADER + length)
    if (at < 0) return false
    emitMldReport(messages.bytes, at, records)
    messages.closeAlert(REPORT_HEADER + length, this.source(), ALL_MLDV2_ROUTERS)
    counters.mldReportsOut++
    return true
  }

  /** Section 8.3.1: sources are not told, and a group that is left is done with. */
  private sendVersion1(records: readonly MldRecord[], now: number): void {
    const { messages, counters } = this.ground
    for (const [i, { type, group, sources }] of records.entries()) {
      const left = (type === CHANGE_TO_INCLUDE || type === MODE_IS_INCLUDE) && sources.length === 0
      if (type === BLOCK_OLD_SOURCES) continue
      const at = messages.openAlert(MLD_LEN)
      if (at < 0) return this.wait(records.slice(i), now)
      emitMldV1(messages.bytes, at, left ? MLD_DONE : MLD_REPORT, 0, group)
      messages.closeAlert(MLD_LEN, this.source(), left ? ALL_ROUTERS : group)
      counters.mldReportsOut++
    }
  }

  private wait(records: MldRecord[], now: number): void {
    this.waiting = records.slice(0, MAX_CHANGES)
    this.retryAt = now + RETRY
  }

  /** Unspecified while the link-local address may be another's (RFC 3590). */
  private source(): Address {
    for (const { address, isAssigned, state } of this.ground.addresses.all)
      if (isAssigned && state !== 'OPTIMISTIC' && isLinkLocal(address)) return address
    return ANY_V6
  }

  /** Between 0 and 1. */
  private chance(): number {
    return this.ground.random() / 2 ** 32
  }
}

/** Sources that are remembered of queries for one group. */
const MAX_SOURCES = 64

/** A query comes from the link itself and asks to be looked at (section 6.2). */
const isLocal = (packet: Packet): boolean =>
  packet.ttl === 1 &&
  !packet.loopback &&
  isLinkLocal(packet.src()) &&
  hasRouterAlert(packet.bytes, packet.ip)

/** All nodes and what does not leave us is never told (section 6). */
const isReported = (group: Address): boolean => !group.equals(ALL_NODES) && scopeOf(group) >= 2

/** Adds what is to be told of a change, once. */
function takeChange(change: Change, records: MldRecord[]): void {
  const { address, mode, sources } = change.group
  if (change.modeLeft > 0) {
    change.modeLeft--
    const type = mode === 'EXCLUDE' ? CHANGE_TO_EXCLUDE : CHANGE_TO_INCLUDE
    records.push({ type, group: address, sources })
    return
  }
  const allowed: Address[] = []
  const blocked: Address[] = []
  for (const [key, wish] of change.sources) {
    const isAllowed = has(sources, wish.source) === (mode === 'INCLUDE')
    ;(isAllowed ? allowed : blocked).push(wish.source)
    if (--wish.left === 0) change.sources.delete(key)
  }
  if (allowed.length > 0)
    records.push({ type: ALLOW_NEW_SOURCES, group: address, sources: allowed })
  if (blocked.length > 0)
    records.push({ type: BLOCK_OLD_SOURCES, group: address, sources: blocked })
}

/** Adds how a group stands. */
function takeState({ address, mode, sources, isWanted }: Group, records: MldRecord[]): void {
  if (!isWanted || !isReported(address)) return
  const type = mode === 'EXCLUDE' ? MODE_IS_EXCLUDE : MODE_IS_INCLUDE
  records.push({ type, group: address, sources })
}

/** Section 6.3 rule 3: which of the sources that were asked for we want. */
function takeAnswer(group: Group, { sources }: Answer, records: MldRecord[]): void {
  if (sources.length === 0) return takeState(group, records)
  const included = group.mode === 'INCLUDE'
  const wanted = sources.filter(source => has(group.sources, source) === included)
  if (wanted.length > 0)
    records.push({ type: MODE_IS_INCLUDE, group: group.address, sources: wanted })
}

/** Section 5.2.15: an excluding record is cut short, the sources of others go into several. */
function split(record: MldRecord, room: number): MldRecord[] {
  const most = Math.floor((room - 20) / 16)
  const { type, group, sources } = record
  if (sources.length <= most) return [record]
  if (type === MODE_IS_EXCLUDE || type === CHANGE_TO_EXCLUDE)
    return [{ type, group, sources: sources.slice(0, most) }]
  const parts: MldRecord[] = []
  for (let i = 0; i < sources.length; i += most)
    parts.push({ type, group, sources: sources.slice(i, i + most) })
  return parts
}

const keyOf = ({ a, b, c, d }: Address): string => `${a},${b},${c},${d}`
