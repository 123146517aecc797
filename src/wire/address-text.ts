// IP addresses as people write them. Parsing is strict (inet_pton's rules): four decimal numbers without leading
// zeros, or RFC 4291 section 2.2; printing is RFC 5952. What does not parse is undefined, never a guess.
import { u16 } from '../base/bytes.ts'
import { Address } from './address.ts'

/** An address and how many of its leading bits name the network: 0 to 32 for IPv4, 0 to 128 for IPv6. */
export interface Prefix {
  readonly address: Address
  readonly prefixLength: number
}

/** `10.0.0.5`, `fe80::1`, `::ffff:10.0.0.5`. No zone, no brackets, no spaces. */
export function parseAddress(text: string): Address | undefined {
  if (!text.includes(':')) {
    const word = parseIpv4(text)
    return word === undefined ? undefined : Address.v4(word)
  }
  return parseIpv6(text)
}

/** `10.0.0.5/24`; `10.0.0.5` alone has `defaultV4` or `defaultV6` bits. */
export function parsePrefix(text: string, defaultV4 = 32, defaultV6 = 128): Prefix | undefined {
  const slash = text.indexOf('/')
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash))
  if (address === undefined) return
  if (slash < 0) return { address, prefixLength: address.isV4 ? defaultV4 : defaultV6 }
  const digits = text.slice(slash + 1)
  if (!/^(0|[1-9][0-9]{0,2})$/.test(digits)) return
  const prefixLength = Number(digits)
  return prefixLength <= (address.isV4 ? 32 : 128) ? { address, prefixLength } : undefined
}

/** IPv4 dotted, also when it came as v4-mapped IPv6; IPv6 as RFC 5952 wants it. */
export function formatAddress(address: Address): string {
  return address.isV4 ? formatIpv4(address.d) : formatIpv6(address)
}

/** An IPv4 address that is at hand as a word. */
export const formatIpv4 = (word: number): string =>
  `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`

export const formatPrefix = ({ address, prefixLength }: Prefix): string =>
  `${formatAddress(address)}/${prefixLength}`

function parseIpv4(text: string): number | undefined {
  const parts = text.split('.')
  if (parts.length !== 4) return
  let word = 0
  for (const part of parts) {
    if (!/^(0|[1-9][0-9]{0,2})$/.test(part) || Number(part) > 255) return
    word = (word << 8) | Number(part)
  }
  return word
}

function parseIpv6(text: string): Address | undefined {
  const sides = text.split('::')
  if (sides.length > 2) return
  const head = groupsOf(sides[0], sides.length === 1)
  const tail = sides.length === 2 ? groupsOf(sides[1], true) : []
  if (head === undefined || tail === undefined) return
  const missing = 8 - head.length - tail.length
  // "::" stands for at least one group (RFC 5952 section 4.2.2 calls less a mistake; inet_pton refuses it).
  if (sides.length === 1 ? missing !== 0 : missing < 1) return
  const g = [...head, ...new Array<number>(missing).fill(0), ...tail]
  const word = (i: number) => (g[i] << 16) | g[i + 1]
  return new Address(word(0), word(2), word(4), word(6))
}

/** The 16-bit groups of one side of "::"; a dotted IPv4 address may end the address. */
function groupsOf(text: string, last: boolean): number[] | undefined {
  if (text === '') return []
  const groups: number[] = []
  const parts = text.split(':')
  for (const [i, part] of parts.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      groups.push(parseInt(part, 16))
      continue
    }
    const word = last && i === parts.length - 1 ? parseIpv4(part) : undefined
    if (word === undefined) return
    groups.push(word >>> 16, word & 0xffff)
  }
  return groups
}

function formatIpv6(address: Address): string {
  const bytes = new Uint8Array(16)
  address.write(bytes, 0)
  const groups = Array.from({ length: 8 }, (_, i) => u16(bytes, 2 * i))
  const hex = groups.map(g => g.toString(16))
  const [from, length] = longestZeros(groups)
  if (length < 2) return hex.join(':')
  return `${hex.slice(0, from).join(':')}::${hex.slice(from + length).join(':')}`
}

/** The first of the longest runs of zero groups (RFC 5952 section 4.2.3). */
function longestZeros(groups: number[]): [from: number, length: number] {
  let best: [number, number] = [0, 0]
  for (let i = 0; i < groups.length; i++) {
    let n = 0
    while (groups[i + n] === 0) n++
    if (n > best[1]) best = [i, n]
    i += n
  }
  return best
}
