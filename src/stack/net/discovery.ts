// IP_MTU_DISCOVER and IPV6_MTU_DISCOVER: what each mode means for a datagram.
import { IPPROTO_TCP } from '../../wire/ipv4.ts'
import { PMTUDISC_DO, PMTUDISC_DONT, PMTUDISC_OMIT, PMTUDISC_PROBE, PMTUDISC_WANT } from './path.ts'

/** RFC 1191 is for who sends again what was too large; ICMP itself does not (Linux's choice for each protocol). */
export const defaultDiscovery = (protocol: number): number =>
  protocol === IPPROTO_TCP ? PMTUDISC_DO : PMTUDISC_DONT

/** What does not fit may be cut by us. */
export const mayFragment = (discover: number): boolean =>
  discover === PMTUDISC_DONT || discover === PMTUDISC_WANT || discover === PMTUDISC_OMIT

/** What fits may not be cut on the way. */
export const dontFragment = (discover: number): boolean =>
  discover === PMTUDISC_WANT || discover === PMTUDISC_DO || discover === PMTUDISC_PROBE

/** The largest packet: what routers said of the path counts, or only our own link. */
export const pathLimit = (discover: number, pathMtu: number, linkMtu: number): number =>
  discover <= PMTUDISC_DO ? pathMtu : linkMtu
