// How the resolver asks: resolv.conf(5), whose words these are.
import { type Address, LOOPBACK_V4, isLinkLocal } from '../wire/address.ts'
import { formatAddress, parseAddress } from '../wire/address-text.ts'

export interface ResolvConf {
  /** At most three, as glibc's; without any, the node itself is asked. */
  readonly servers: readonly Address[]
  readonly search: readonly string[]
  readonly ndots: number
  /** Before a server counts as silent, ms. */
  readonly timeout: number
  readonly attempts: number
  readonly rotate: boolean
  /** A and AAAA one after the other. */
  readonly singleRequest: boolean
  readonly useVc: boolean
  readonly edns0: boolean
  readonly trustAd: boolean
  readonly noAaaa: boolean
}

const MAX_SERVERS = 3
const MAX_SEARCH = 32

/** Of --dns-option: the word and its largest value, or none. */
const OPTIONS: Record<string, number | undefined> = {
  ndots: 15,
  timeout: 30,
  attempts: 5,
  rotate: undefined,
  'single-request': undefined,
  'single-request-reopen': undefined,
  'use-vc': undefined,
  edns0: undefined,
  'trust-ad': undefined,
  'no-aaaa': undefined,
}

export function resolvConf(
  dns: readonly string[],
  search: readonly string[],
  options: readonly string[],
): ResolvConf {
  const has = (word: string) => options.includes(word)
  const value = (word: string, least: number, unless: number) => {
    const given = options.findLast(option => option.startsWith(`${word}:`))
    if (given === undefined) return unless
    return Math.min(Math.max(Number(given.slice(word.length + 1)) || 0, least), OPTIONS[word]!)
  }
  const servers = dns.map(text => parseAddress(text)!).slice(0, MAX_SERVERS)
  return {
    servers: servers.length > 0 ? servers : [LOOPBACK_V4],
    search: search.slice(0, MAX_SEARCH),
    ndots: value('ndots', 0, 1),
    timeout: 1000 * value('timeout', 1, 5),
    attempts: value('attempts', 1, 2),
    rotate: has('rotate'),
    singleRequest: has('single-request') || has('single-request-reopen'),
    useVc: has('use-vc'),
    edns0: has('edns0'),
    trustAd: has('trust-ad'),
    noAaaa: has('no-aaaa'),
  }
}

/** The text that programs are shown. A link-local server is on `device`. */
export function resolvConfText(
  dns: readonly string[],
  search: readonly string[],
  options: readonly string[],
  device: string,
): string {
  const scoped = (address: Address) =>
    formatAddress(address) + (isLinkLocal(address) ? `%${device}` : '')
  const lines = dns.map(text => `nameserver ${scoped(parseAddress(text)!)}`)
  // What an empty file means; libevent's resolver wants to read it.
  if (lines.length === 0) lines.push(`nameserver ${formatAddress(LOOPBACK_V4)}`)
  if (search.length > 0) lines.push(`search ${search.join(' ')}`)
  if (options.length > 0) lines.push(`options ${options.join(' ')}`)
  return lines.map(line => `${line}\n`).join('')
}
