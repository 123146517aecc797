// Who has which address on this network. A port names its MAC and its IP addresses when it joins, and a second one with
// the same is refused at once: no duplicate that shows only when connections break. Claims are a promise among stations
// of this switch, nothing more: what is behind a tap or a tunnel is found by ARP as ever.
import type { Address } from '../wire/address.ts'
import { formatMac, type Mac } from '../wire/mac.ts'

/** One port may claim so many IP addresses. */
export const MAX_CLAIMS = 64

/** What stands in the way: which of the claimed addresses (none: the MAC), and whose it is. */
export interface Conflict<Owner> {
  readonly address: Address | undefined
  readonly owner: Owner
}

export class Registry<Owner> {
  readonly #owners = new Map<string, Owner>()
  readonly #claims = new Map<Owner, Set<string>>()

  /** All of them or none: undefined, or the first that another one has. What the owner has already is no conflict. */
  claim(
    owner: Owner,
    mac: Mac | undefined,
    addresses: readonly Address[],
  ): Conflict<Owner> | undefined {
    const keys = addresses.map(ipKey)
    for (const [i, key] of keys.entries()) {
      const other = this.#owners.get(key)
      if (other !== undefined && other !== owner) return { address: addresses[i], owner: other }
    }
    if (mac !== undefined) {
      const other = this.#owners.get(macKey(mac))
      if (other !== undefined && other !== owner) return { address: undefined, owner: other }
      keys.push(macKey(mac))
    }
    const claims = this.#claims.get(owner) ?? new Set()
    this.#claims.set(owner, claims)
    for (const key of keys) {
      claims.add(key)
      this.#owners.set(key, owner)
    }
    return undefined
  }

  /** How many claims the owner has. */
  count(owner: Owner): number {
    return this.#claims.get(owner)?.size ?? 0
  }

  /** Gives back those of the addresses that are the owner's. */
  release(owner: Owner, addresses: readonly Address[]): void {
    const claims = this.#claims.get(owner)
    for (const key of addresses.map(ipKey)) if (claims?.delete(key)) this.#owners.delete(key)
  }

  /** The owner is gone. */
  releaseAll(owner: Owner): void {
    for (const key of this.#claims.get(owner) ?? []) this.#owners.delete(key)
    this.#claims.delete(owner)
  }
}

const macKey = formatMac
const ipKey = (address: Address) => [address.a, address.b, address.c, address.d].join(' ')
