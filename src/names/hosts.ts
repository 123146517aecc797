// The hosts file (hosts(5)): what a stack knows of names without asking anybody. It is the host's, with the stack's own
// name before it; programs are shown this text as /etc/hosts.
import { type Address, LOOPBACK_V4, LOOPBACK_V6 } from '../wire/address.ts'
import { formatAddress, parseAddress } from '../wire/address-text.ts'

/** A name and what belongs to it. */
export interface Host {
  readonly canonical: string
  readonly aliases: readonly string[]
  readonly addresses: readonly Address[]
}

interface Line {
  readonly address: Address
  readonly names: readonly string[]
}

/** A file may be anybody's: so much of it counts. */
const MOST_LINES = 10_000

/** What stands before the host's own lines: loopback, and `name` for each of `addresses`. */
export function hostsText(
  hostFile: string,
  name: string | undefined,
  addresses: readonly Address[],
): string {
  const own = ['127.0.0.1\tlocalhost', '::1\tlocalhost ip6-localhost ip6-loopback']
  if (name !== undefined) {
    const [first] = name.split('.')
    const names = first === name ? name : `${name} ${first}`
    const named = addresses.length > 0 ? addresses : [LOOPBACK_V4]
    for (const address of named) own.push(`${formatAddress(address)}\t${names}`)
  }
  return `${own.join('\n')}\n${hostFile}`
}

export class Hosts {
  private readonly byName = new Map<string, Line[]>()
  private readonly lines: readonly Line[]

  constructor(text: string) {
    this.lines = parseHosts(text)
    for (const line of this.lines)
      for (const name of new Set(line.names.map(lower))) {
        const list = this.byName.get(name)
        if (list === undefined) this.byName.set(name, [line])
        else list.push(line)
      }
  }

  /** All addresses of `name` of a family (0: both); the first line that has it says how it is called. */
  find(name: string, family: 0 | 4 | 6): Host | undefined {
    const lines = (this.byName.get(lower(name).replace(/\.$/, '')) ?? []).filter(
      ({ address }) => family === 0 || address.isV4 === (family === 4),
    )
    return lines.length === 0 ? undefined : hostOf(lines)
  }

  /** Is the name there, with whatever addresses? */
  has(name: string): boolean {
    return this.byName.has(lower(name).replace(/\.$/, ''))
  }

  findAddress(address: Address): Host | undefined {
    const line = this.lines.find(line => line.address.equals(address))
    return line && hostOf([line])
  }
}

/** localhost and all below it are this host and nobody else (RFC 6761 section 6.3). */
export function localhost(name: string, family: 0 | 4 | 6): Host | undefined {
  if (!/(^|\.)localhost\.?$/i.test(name)) return undefined
  const addresses = [LOOPBACK_V6, LOOPBACK_V4].filter(
    ({ isV4 }) => family === 0 || isV4 === (family === 4),
  )
  return { canonical: name.replace(/\.$/, ''), aliases: [], addresses }
}

const lower = (name: string) => name.toLowerCase()

function parseHosts(text: string): Line[] {
  const lines: Line[] = []
  for (const row of text.split('\n')) {
    const [address, ...names] = row.replace(/#.*/, '').trim().split(/\s+/)
    const parsed = names.length > 0 ? parseAddress(address.replace(/%.*/, '')) : undefined
    if (parsed === undefined) continue
    lines.push({ address: parsed, names })
    if (lines.length === MOST_LINES) break
  }
  return lines
}

function hostOf(lines: readonly Line[]): Host {
  const [canonical] = lines[0].names
  const names = new Set(lines.flatMap(line => line.names))
  names.delete(canonical)
  const addresses: Address[] = []
  for (const { address } of lines)
    if (!addresses.some(other => other.equals(address))) addresses.push(address)
  return { canonical, aliases: [...names], addresses }
}
