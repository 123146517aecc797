// Multicast listener discovery: tells routers and switches which groups we hear, version 2 (RFC 3810) with source filters,
// or version 1 (RFC 2710) while a router speaks that. When to say what is listener-reports.ts's; here are the messages.
import { ALL_MLDV2_ROUTERS, ALL_NODES, ALL_ROUTERS, ANY_V6, Address, isLinkLocal } from '../../wire/address.ts' // prettier-ignore
import type { GroupRecord } from '../../wire/group-record.ts'
import {
  ICMPV6_HEADER_LEN,
  type Icmpv6Message,
  MLD_DONE,
  MLD_QUERY,
  MLD_REPORT,
} from '../../wire/icmpv6.ts'
import { IPV6_HEADER_LEN } from '../../wire/ipv6.ts'
import {
  MLD_LEN,
  MLD_RECORD_LEN,
  ROUTER_ALERT_LEN,
  emitMldReport,
  emitMldV1,
  hasRouterAlert,
  parseMldQuery,
} from '../../wire/mldv2.ts'
import type { LinkUser, Nic } from '../link/nic.ts'
import type { Addresses } from './addresses.ts'
import type { NetCounters } from './counters.ts'
import type { Group, Groups } from './groups.ts'
import type { Icmpv6 } from './icmpv6.ts'
import type { LinkMessages } from './link-messages.ts'
import { ListenerReports, type ReportWire } from './listener-reports.ts'
import type { Packet } from './path.ts'
import { scopeOf } from './selection.ts'

export interface MldGround {
  readonly nic: Nic
  readonly addresses: Addresses
  readonly groups: Groups
  readonly counters: NetCounters
  readonly icmp: Icmpv6
  readonly messages: LinkMessages
  random(): number
}

export class Mld implements ReportWire, LinkUser {
  readonly recordLength = MLD_RECORD_LEN
  readonly sourceLength = 16
  private readonly ground: MldGround
  private readonly reports: ListenerReports

  constructor(ground: MldGround) {
    this.ground = ground
    const hasLeave = () => true
    this.reports = new ListenerReports(ground.groups, this, 2, hasLeave, () => ground.random())
    ground.nic.users.push(this)
    ground.icmp.handlers.set(MLD_QUERY, (p, m, now) => this.queryArrives(p, m, now))
    ground.icmp.handlers.set(MLD_REPORT, (p, m) => this.reportArrives(p, m))
  }

  /** When run() has something to do. */
  get next(): number {
    return this.reports.next
  }

  run(now: number): void {
    this.reports.run(now)
  }

  linkUp(): void {
    this.reports.linkUp()
  }

  linkDown(): void {
    this.reports.linkDown()
  }

  /** Groups.onChange. */
  changed(group: Group, mode: Group['mode'], sources: Group['sources']): void {
    this.reports.changed(group, mode, sources)
  }

  /** All nodes and what does not leave us is never told (section 6). */
  isReported(group: Address): boolean {
    return !group.equals(ALL_NODES) && scopeOf(group) >= 2
  }

  get room(): number {
    return this.ground.nic.mtu - IPV6_HEADER_LEN - ROUTER_ALERT_LEN - ICMPV6_HEADER_LEN
  }

  report(records: readonly GroupRecord[]): boolean {
    const { messages, counters } = this.ground
    const at = messages.openAlert(ICMPV6_HEADER_LEN + this.room)
    if (at < 0) return false
    const length = emitMldReport(messages.bytes, at, records)
    messages.closeAlert(length, this.source(), ALL_MLDV2_ROUTERS)
    counters.mldReportsOut++
    return true
  }

  oldReport(_version: number, group: Address): void {
    this.sendOld(MLD_REPORT, group, group)
  }

  oldLeave(group: Address): void {
    this.sendOld(MLD_DONE, group, ALL_ROUTERS)
  }

  private sendOld(type: number, group: Address, dst: Address): void {
    const { messages, counters } = this.ground
    const at = messages.openAlert(MLD_LEN)
    if (at < 0) return
    emitMldV1(messages.bytes, at, type, 0, group)
    messages.closeAlert(MLD_LEN, this.source(), dst)
    counters.mldReportsOut++
  }

  private queryArrives(packet: Packet, message: Icmpv6Message, now: number): void {
    const { counters } = this.ground
    const { bytes, at, length } = message
    const query = isLocal(packet) ? parseMldQuery(bytes, at, length) : undefined
    if (query === undefined) {
      counters.mldInvalid++
      return
    }
    counters.mldQueriesIn++
    const group = query.group.isUnspecified ? undefined : query.group
    this.reports.queryArrives({ ...query, group, maxResponse: query.maxResponseDelay }, now)
  }

  private reportArrives(packet: Packet, message: Icmpv6Message): void {
    const { bytes, body, length } = message
    if (length < MLD_LEN || !isLocal(packet)) {
      this.ground.counters.mldInvalid++
      return
    }
    this.reports.reportHeard(Address.read(bytes, body, 16))
  }

  /** Unspecified while the link-local address may be another's (RFC 3590). */
  private source(): Address {
    for (const { address, isAssigned, state } of this.ground.addresses.all)
      if (isAssigned && state !== 'OPTIMISTIC' && isLinkLocal(address)) return address
    return ANY_V6
  }
}

/** A query comes from the link itself and asks to be looked at (section 6.2). */
const isLocal = (packet: Packet): boolean =>
  packet.ttl === 1 &&
  !packet.loopback &&
  isLinkLocal(packet.src()) &&
  hasRouterAlert(packet.bytes, packet.ip)
