// ICMPv6 messages between neighbors, to MACs that are known without asking: neighbor discovery, listener reports. They
// are built in the frame that they leave in, and pass by paths and neighbors.
import type { Address } from '../../wire/address.ts'
import { ETHERTYPE_IPV6 } from '../../wire/ethernet.ts'
import { sumIcmpv6 } from '../../wire/icmpv6.ts'
import { IPPROTO_HOPOPTS, IPPROTO_ICMPV6, IPV6_HEADER_LEN, emitIpv6 } from '../../wire/ipv6.ts'
import { type Mac, groupMac } from '../../wire/mac.ts'
import { ROUTER_ALERT_LEN, emitRouterAlert } from '../../wire/mldv2.ts'
import type { Nic } from '../link/nic.ts'
import type { NetCounters } from './counters.ts'

/** What only neighbors can have sent (RFC 4861 section 3.1). */
export const ND_HOP_LIMIT = 255

export class LinkMessages {
  private readonly nic: Nic
  private readonly counters: NetCounters
  private at = 0

  constructor(nic: Nic, counters: NetCounters) {
    this.nic = nic
    this.counters = counters
  }

  get bytes(): Uint8Array {
    return this.nic.bytes
  }

  /** Space for a message of at most `length` bytes; -1: the link has no room now. */
  open(length: number): number {
    this.at = this.nic.openFrame(IPV6_HEADER_LEN + length)
    if (this.at >= 0) return this.at + IPV6_HEADER_LEN
    this.counters.ndNoRoom++
    return -1
  }

  /** Sends it, `length` bytes: to the group's MAC, or where the neighbor is. */
  close(length: number, src: Address, dst: Address, mac: Mac = groupMac(dst)): void {
    const { at, bytes } = this
    emitIpv6(bytes, at, length, IPPROTO_ICMPV6, ND_HOP_LIMIT, src, dst)
    sumIcmpv6(bytes, at, at + IPV6_HEADER_LEN, length)
    this.counters.packetsOut++
    this.nic.closeFrame(mac, ETHERTYPE_IPV6, IPV6_HEADER_LEN + length, 0, 0, 0)
  }

  /** The same for messages that routers are to look at, whoever they are for (RFC 2711). */
  openAlert(length: number): number {
    const at = this.open(ROUTER_ALERT_LEN + length)
    return at < 0 ? at : at + ROUTER_ALERT_LEN
  }

  closeAlert(length: number, src: Address, dst: Address): void {
    const { at, bytes } = this
    const payload = ROUTER_ALERT_LEN + length
    emitIpv6(bytes, at, payload, IPPROTO_HOPOPTS, 1, src, dst)
    emitRouterAlert(bytes, at + IPV6_HEADER_LEN)
    sumIcmpv6(bytes, at, at + IPV6_HEADER_LEN + ROUTER_ALERT_LEN, length)
    this.counters.packetsOut++
    this.nic.closeFrame(groupMac(dst), ETHERTYPE_IPV6, IPV6_HEADER_LEN + payload, 0, 0, 0)
  }
}
