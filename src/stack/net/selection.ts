// Which of our addresses for a destination, and which destination first (RFC 6724). There is one interface and no home
// address: rules 4, 5 and 7 never decide.
import type { Address } from '../../wire/address.ts'
import { type Prefix, parsePrefix } from '../../wire/address-text.ts'

/** One of our addresses. */
export interface SourceCandidate {
  readonly address: Address
  readonly prefixLength: number
  /** DEPRECATED, or OPTIMISTIC (RFC 4429 section 3.1). */
  readonly avoided: boolean
  /** Of a prefix that the next hop advertised (rule 5.5). */
  readonly ofNextHop: boolean
}

const LINK_LOCAL = 2
const SITE_LOCAL = 5
const GLOBAL = 14

/** Section 3.1: a number that is larger where the address reaches farther. */
export function scopeOf(address: Address): number {
  if (address.isV4) {
    const top = address.d >>> 24
    return top === 127 || address.d >>> 16 === 0xa9fe ? LINK_LOCAL : GLOBAL
  }
  if (address.isMulticast) return (address.a >>> 16) & 15
  if (address.isLoopback || address.a >>> 22 === 0xfe80 >>> 6) return LINK_LOCAL
  return address.a >>> 22 === 0xfec0 >>> 6 ? SITE_LOCAL : GLOBAL
}

interface Policy {
  readonly prefix: Prefix
  readonly precedence: number
  readonly label: number
}

const policy = (text: string, precedence: number, label: number): Policy => ({
  prefix: parsePrefix(text)!,
  precedence,
  label,
})

/** Section 2.1, the longest prefix first. */
const POLICIES: readonly Policy[] = [
  policy('::1/128', 50, 0),
  policy('::/96', 1, 3),
  policy('2001::/32', 5, 5),
  policy('2002::/16', 30, 2),
  policy('3ffe::/16', 1, 12),
  policy('fec0::/10', 1, 11),
  policy('fc00::/7', 3, 13),
  policy('::/0', 40, 1),
]
/** ::ffff:0:0/96. */
const V4_POLICY = { precedence: 35, label: 4 }

export const policyOf = (address: Address): { precedence: number; label: number } =>
  address.isV4
    ? V4_POLICY
    : POLICIES.find(({ prefix }) => address.matches(prefix.address, prefix.prefixLength))!

/** How many leading bits are the same, of 32 or 128. */
export function commonPrefix(a: Address, b: Address): number {
  const first = a.isV4 ? 3 : 0
  for (let i = first; i < 4; i++) {
    const differ = a.word(i) ^ b.word(i)
    if (differ !== 0) return 32 * (i - first) + Math.clz32(differ)
  }
  return 32 * (4 - first)
}

/** Section 5: the best of our addresses for `dst`; undefined: there are none. */
export function chooseSource<T extends SourceCandidate>(
  dst: Address,
  candidates: Iterable<T>,
): T | undefined {
  let best: T | undefined
  for (const candidate of candidates)
    if (best === undefined || prefersSource(dst, candidate, best)) best = candidate
  return best
}

/** Is `a` better than `b`? */
function prefersSource(dst: Address, a: SourceCandidate, b: SourceCandidate): boolean {
  // 1: prefer the same address.
  if (a.address.equals(dst) !== b.address.equals(dst)) return a.address.equals(dst)
  // 2: prefer appropriate scope.
  const [scopeA, scopeB, scope] = [scopeOf(a.address), scopeOf(b.address), scopeOf(dst)]
  if (scopeA !== scopeB) return scopeA < scopeB ? scopeA >= scope : scopeB < scope
  // 3: avoid deprecated addresses.
  if (a.avoided !== b.avoided) return b.avoided
  // 5.5: prefer addresses in a prefix advertised by the next hop.
  if (a.ofNextHop !== b.ofNextHop) return a.ofNextHop
  // 6: prefer matching label.
  const { label } = policyOf(dst)
  const [labelA, labelB] = [
    policyOf(a.address).label === label,
    policyOf(b.address).label === label,
  ]
  if (labelA !== labelB) return labelA
  // 8: use longest matching prefix.
  return matched(dst, a) > matched(dst, b)
}

const matched = (dst: Address, { address, prefixLength }: SourceCandidate): number =>
  address.isV4 === dst.isV4 ? Math.min(commonPrefix(address, dst), prefixLength) : 0

/** A destination with the source address that would be used; undefined: there is no way there. */
export interface Destination {
  readonly address: Address
  readonly source: SourceCandidate | undefined
}

/** Section 6: the best destination first. Those that are equally good keep their order. */
export const sortDestinations = <T extends Destination>(destinations: readonly T[]): T[] =>
  [...destinations].sort(compareDestinations)

function compareDestinations(a: Destination, b: Destination): number {
  // 1: avoid unusable destinations.
  if (a.source === undefined || b.source === undefined)
    return Number(a.source === undefined) - Number(b.source === undefined)
  const [scopeA, scopeB] = [scopeOf(a.address), scopeOf(b.address)]
  const order =
    // 2: prefer matching scope.
    Number(scopeB === scopeOf(b.source.address)) - Number(scopeA === scopeOf(a.source.address)) ||
    // 3: avoid deprecated addresses.
    Number(a.source.avoided) - Number(b.source.avoided) ||
    // 5: prefer matching label.
    Number(labelsMatch(b)) - Number(labelsMatch(a)) ||
    // 6: prefer higher precedence.
    policyOf(b.address).precedence - policyOf(a.address).precedence ||
    // 8: prefer smaller scope.
    scopeA - scopeB
  if (order !== 0 || a.address.isV4 !== b.address.isV4) return order
  // 9: use longest matching prefix.
  return matched(b.address, b.source) - matched(a.address, a.source)
}

const labelsMatch = ({ address, source }: Destination): boolean =>
  source !== undefined && policyOf(address).label === policyOf(source.address).label
