// IGMP (RFC 3376, RFC 2236, RFC 1112): who asks which groups we hear, and what we say. When to say what is
// listener-reports.ts's; here are the messages, built in the frame that they leave in.
import { writeU16, writeU32 } from '../../base/bytes.ts'
import { Address } from '../../wire/address.ts'
import { checksum } from '../../wire/checksum.ts'
import { ETHERTYPE_IPV4 } from '../../wire/ethernet.ts'
import type { GroupRecord } from '../../wire/group-record.ts'
import {
  IGMP_HEADER_LEN,
  IGMP_QUERY,
  IGMP_RECORD_LEN,
  IGMP_V1_REPORT,
  IGMP_V2_LEAVE,
  IGMP_V2_REPORT,
  IPPROTO_IGMP,
  IgmpMessage,
  emitIgmp,
  emitV3Report,
} from '../../wire/igmp.ts'
import { IPV4_HEADER_LEN, emitIpv4 } from '../../wire/ipv4.ts'
import type { LinkUser, Nic } from '../link/nic.ts'
import type { NetCounters } from './counters.ts'
import type { Group, Groups } from './groups.ts'
import { groupMacV4 } from './ipv4-group-path.ts'
import { ListenerReports, type ReportWire } from './listener-reports.ts'
import type { Packet } from './path.ts'
import type { Protocol } from './protocol.ts'

/** Routers look at it, whoever it is for (RFC 2113). */
const ROUTER_ALERT = 0x94040000 | 0
const HEADER_LEN = IPV4_HEADER_LEN + 4
/** Internetwork control (RFC 3376 section 4). */
const TOS = 0xc0

export const ALL_HOSTS = 0xe0000001 | 0
const ALL_ROUTERS = 0xe0000002 | 0
const ALL_V3_ROUTERS = 0xe0000016 | 0

/** What IGMP needs of IP. */
export interface IgmpGround {
  readonly nic: Nic
  readonly counters: NetCounters
  readonly groups: Groups
  /** The address that we send from; 0: we have none (RFC 3376 section 4.2.13). */
  readonly reportSource: number
  random(): number
}

export class Igmp implements Protocol, ReportWire, LinkUser {
  readonly takesGroups = true
  readonly recordLength = IGMP_RECORD_LEN
  readonly sourceLength = 4
  private readonly ground: IgmpGround
  private readonly reports: ListenerReports

  constructor(ground: IgmpGround) {
    this.ground = ground
    const hasLeave = (version: number) => version > 1
    this.reports = new ListenerReports(ground.groups, this, 3, hasLeave, () => ground.random())
    ground.nic.users.push(this)
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

  /** Of neighbors only: a time to live of 1 has crossed no router. */
  arrives(packet: Packet, now: number): void {
    const { counters } = this.ground
    const { bytes, transport, length, ttl } = packet
    const message = IgmpMessage.parse(bytes, transport, length)
    if (message === undefined || ttl !== 1) {
      counters.igmpInvalid++
      return
    }
    counters.igmpIn++
    if (message.type === IGMP_QUERY) this.queryArrives(message, now)
    else if (message.type === IGMP_V1_REPORT || message.type === IGMP_V2_REPORT)
      this.reports.reportHeard(Address.v4(message.group))
  }

  /** IGMP is not what programs send. */
  unreachable(): boolean {
    return false
  }

  /** The group of all hosts is not told of (RFC 3376 section 6). */
  isReported(group: Address): boolean {
    return group.d !== ALL_HOSTS
  }

  get room(): number {
    return this.ground.nic.mtu - HEADER_LEN - IGMP_HEADER_LEN
  }

  report(records: readonly GroupRecord[]): boolean {
    const { nic } = this.ground
    const at = this.open(nic.mtu - HEADER_LEN)
    if (at < 0) return false
    this.close(at, emitV3Report(nic.bytes, at, records), ALL_V3_ROUTERS)
    return true
  }

  oldReport(version: number, group: Address): void {
    this.sendOld(version === 1 ? IGMP_V1_REPORT : IGMP_V2_REPORT, group.d, group.d)
  }

  oldLeave(group: Address): void {
    this.sendOld(IGMP_V2_LEAVE, group.d, ALL_ROUTERS)
  }

  private queryArrives(message: IgmpMessage, now: number): void {
    const { version, maxResponse, sourceCount, group } = message
    // Version 1 asks for all groups only (RFC 1112 appendix I).
    const about = group === 0 || version === 1 ? undefined : Address.v4(group)
    const sources = Array.from({ length: sourceCount }, (_, i) => Address.v4(message.source(i)))
    const { robustness, interval } = version === 3 ? message : { robustness: 0, interval: 0 }
    const query = { group: about, sources, maxResponse, version, robustness, interval }
    this.reports.queryArrives(query, now)
  }

  private sendOld(type: number, group: number, dst: number): void {
    const at = this.open(IGMP_HEADER_LEN)
    if (at < 0) return
    emitIgmp(this.ground.nic.bytes, at, type, group)
    this.close(at, IGMP_HEADER_LEN, dst)
  }

  /** Where the message begins; -1: no room. */
  private open(length: number): number {
    const { nic, counters } = this.ground
    const at = nic.openFrame(HEADER_LEN + length)
    if (at >= 0) return at + HEADER_LEN
    counters.igmpNoRoom++
    return -1
  }

  private close(message: number, length: number, dst: number): void {
    const { nic, counters, reportSource } = this.ground
    const { bytes } = nic
    const at = message - HEADER_LEN
    const total = HEADER_LEN + length
    emitIpv4(bytes, at, total, 0, 0, 1, IPPROTO_IGMP, reportSource, dst, TOS)
    bytes[at] = 0x40 | (HEADER_LEN >> 2)
    writeU32(bytes, at + IPV4_HEADER_LEN, ROUTER_ALERT)
    writeU16(bytes, at + 10, 0)
    writeU16(bytes, at + 10, checksum(bytes, at, HEADER_LEN))
    counters.igmpOut++
    counters.packetsOut++
    nic.closeFrame(groupMacV4(dst), ETHERTYPE_IPV4, total, 0, 0, 0)
  }
}
