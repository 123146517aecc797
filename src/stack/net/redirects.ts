// ICMP redirects (RFC 792, RFC 1122 section 3.2.2.2), as Linux's "secure redirects": a host that does not forward takes the
// advice of the gateway that it uses, about a destination that it sends to, to use another neighbor. It becomes a route to
// that one destination (net redirects too, RFC 1812 section 5.2.7.2), for a while.
import { i32 } from '../../base/bytes.ts'
import { Address } from '../../wire/address.ts'
import type { IcmpMessage } from '../../wire/icmpv4.ts'
import { Ipv4Packet } from '../../wire/ipv4.ts'
import type { Addresses } from './addresses.ts'
import type { NetCounters } from './counters.ts'
import type { Packet } from './path.ts'
import type { RouteTable } from './route.ts'

const MAX_REDIRECTS = 64
/** Linux's ip_rt_gc_timeout, ms. */
const REDIRECT_AGE = 300_000
/** Codes: for a network, a host, and both with a type of service. */
const MAX_CODE = 3

/** What redirects need of IP. */
export interface RedirectGround {
  readonly counters: NetCounters
  readonly addresses: Addresses
  readonly routes: RouteTable
  /** Who gets packets for `dst` on the link; undefined: nobody, or ourselves. */
  hopFor(dst: Address): Address | undefined
  /** Have we sent datagrams of this protocol there lately? */
  hasPath(src: Address, dst: Address, protocol: number): boolean
  isNeighbor(address: Address): boolean
}

export class Redirects {
  private readonly ground: RedirectGround

  constructor(ground: RedirectGround) {
    this.ground = ground
  }

  arrives(packet: Packet, message: IcmpMessage, now: number): void {
    const { counters, routes } = this.ground
    counters.redirectsIn++
    const quoted = Ipv4Packet.parse(message.bytes, message.body, message.bodyLength)
    if (quoted === undefined || message.code > MAX_CODE) {
      counters.icmpMalformed++
      return
    }
    const dst = Address.v4(quoted.dst)
    const gateway = Address.v4(i32(message.bytes, message.at + 4))
    if (!this.isBelieved(packet.srcWord(3), quoted, dst, gateway)) {
      counters.redirectRefused++
      return
    }
    routes.remove(r => r.origin === 'redirect' && r.destination.address.equals(dst))
    const known = routes.all.filter(({ origin }) => origin === 'redirect')
    if (known.length >= MAX_REDIRECTS) {
      const oldest = known.reduce((a, b) => (b.expires < a.expires ? b : a))
      routes.remove(route => route === oldest)
    }
    routes.add({
      destination: { address: dst, prefixLength: 32 },
      gateway: gateway.equals(dst) ? undefined : gateway,
      source: undefined,
      metric: 0,
      origin: 'redirect',
      expires: now + REDIRECT_AGE,
    })
  }

  /** The neighbor does not answer, or our addresses changed: what was said of it is no longer so. */
  forget(gateway?: Address): void {
    this.ground.routes.remove(
      ({ origin, gateway: via, destination }) =>
        origin === 'redirect' &&
        (gateway === undefined || (via ?? destination.address).equals(gateway)),
    )
  }

  private isBelieved(from: number, quoted: Ipv4Packet, dst: Address, gateway: Address): boolean {
    const { ground } = this
    const src = Address.v4(quoted.src)
    const hop = ground.hopFor(dst)
    if (hop === undefined || hop.d !== from || hop.equals(dst) || gateway.equals(hop)) return false
    if (!ground.addresses.hasWord(src.d) || !ground.isNeighbor(gateway)) return false
    return ground.hasPath(src, dst, quoted.protocol)
  }
}
