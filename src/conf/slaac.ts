// Stateless address autoconfiguration (RFC 4862 section 5.5.3): what a router's prefixes make of addresses, and for how
// long. It makes values; the stack's addresses expire by themselves.
import { Address, isLinkLocal } from '../wire/address.ts'
import { ND_INFINITE, type PrefixInformation } from '../wire/ndp.ts'

export interface SlaacAddress {
  readonly address: Address
  /** On the stack's clock. */
  readonly preferredUntil: number
  readonly validUntil: number
}

/** The address behind `prefix`; `attempt` counts those before it that were duplicates. */
export type Identify = (prefix: Address, attempt: number) => Address

const TWO_HOURS_MS = 7200_000
const ID_BITS = 64
/** Routers, or who says to be one, may announce more; hosts of Linux have as many. */
const MAX_ADDRESSES = 16
/** RFC 7217 section 6: IDGEN_RETRIES. */
const MAX_ATTEMPTS = 3

/** An address that was made, and of what. */
export interface Formed extends SlaacAddress {
  readonly prefix: Address
  readonly attempt: number
}

export class Slaac {
  private readonly identify: Identify
  private formed: Formed[] = []

  /** `memory`: what another one had made, maybe as it came from another thread. */
  constructor(identify: Identify, memory: readonly Formed[] = []) {
    this.identify = identify
    this.formed = memory.map(formed => ({
      ...formed,
      prefix: revived(formed.prefix),
      address: revived(formed.address),
    }))
  }

  get memory(): readonly Formed[] {
    return this.formed
  }

  /** The address, new or with new lifetimes, that a prefix in an advertisement gives; undefined: none. */
  advertised(info: PrefixInformation, now: number): SlaacAddress | undefined {
    const { address: prefix, prefixLength } = info.prefix
    const { validLifetime, preferredLifetime } = info
    if (!info.autonomous || prefixLength !== 128 - ID_BITS || preferredLifetime > validLifetime)
      return
    if (isLinkLocal(prefix) || prefix.isMulticast || (prefix.a | prefix.b) === 0) return
    this.formed = this.formed.filter(({ validUntil }) => validUntil > now)
    const old = this.formed.find(formed => formed.prefix.matches(prefix, prefixLength))
    if (old === undefined && (validLifetime === 0 || this.formed.length === MAX_ADDRESSES)) return
    const valid = old ? validUntil(old.validUntil, validLifetime, now) : after(now, validLifetime)
    const next = {
      prefix,
      attempt: old?.attempt ?? 0,
      address: old?.address ?? this.identify(prefix, 0),
      preferredUntil: Math.min(after(now, preferredLifetime), valid),
      validUntil: valid,
    }
    return this.put(old, next)
  }

  /** Detection found `address` taken: the next one to try, where there is another one to make. */
  duplicated(address: Address, now: number): SlaacAddress | undefined {
    const old = this.formed.find(formed => formed.address.equals(address))
    if (old === undefined || old.validUntil <= now || old.attempt === MAX_ATTEMPTS) return
    const attempt = old.attempt + 1
    const next = { ...old, attempt, address: this.identify(old.prefix, attempt) }
    // An identifier that is what it is (a MAC's, a name's) is not changed (section 5.4.5).
    return next.address.equals(address) ? undefined : this.put(old, next)
  }

  private put(old: Formed | undefined, next: Formed): SlaacAddress {
    this.formed = [...this.formed.filter(formed => formed !== old), next]
    const { address, preferredUntil, validUntil } = next
    return { address, preferredUntil, validUntil }
  }
}

/** Between threads objects lose their class. */
const revived = ({ a, b, c, d }: Address) => new Address(a, b, c, d)

/**
 * Section 5.5.3 e: nobody who is not authenticated makes an address end sooner than in two hours, unless it would have
 * ended sooner anyway.
 */
function validUntil(before: number, lifetime: number, now: number): number {
  const announced = after(now, lifetime)
  if (announced > now + TWO_HOURS_MS || announced > before) return announced
  return Math.min(before, now + TWO_HOURS_MS)
}

const after = (now: number, seconds: number) =>
  seconds === ND_INFINITE ? Infinity : now + 1000 * seconds
