// The last 64 bits of an IPv6 address that a stack makes for itself, but for the MAC's own (wire/mac.ts): from a secret
// and the prefix (RFC 7217), or from its name, so that everybody who knows the name knows the address. The last is that
// of VirtualSquare's libioth, bit for bit: programs of both find each other.
import { createHash, createHmac } from 'node:crypto'

import { i32, writeU32 } from '../base/bytes.ts'
import { Address } from '../wire/address.ts'
import { Mac } from '../wire/mac.ts'

/**
 * RFC 7217 section 5 with HMAC-SHA-256 as F: stable while prefix, interface and secret stay, and nothing to tell one
 * network's visitor from another's. `attempt` counts duplicates that detection found.
 */
export function stableAddress(
  prefix: Address,
  iface: string,
  attempt: number,
  secret: Uint8Array,
): Address {
  for (let reserved = 0; ; reserved += 256) {
    const message = new Uint8Array(12)
    writeU32(message, 0, prefix.a)
    writeU32(message, 4, prefix.b)
    writeU32(message, 8, attempt + reserved)
    const hash = createHmac('sha256', secret).update(message).update(iface).digest()
    const address = new Address(prefix.a, prefix.b, i32(hash, 24), i32(hash, 28))
    if (!isReserved(address)) return address
  }
}

/** RFC 5453: the subnet's routers' anycast, and those of IANA (fdff:ffff:ffff:ff80 and on). */
const isReserved = ({ c, d }: Address) =>
  (c === 0 && d === 0) || (c === (0xfdffffff | 0) && d >>> 0 >= 0xffffff80)

/**
 * `base` with the hash of `name` laid over its last 64 bits. With a password and the number of a time slot it is a
 * one-time address.
 */
export function hashAddress(base: Address, name: string, password = '', slot = 0): Address {
  const hash = hashOf(name, password, slot)
  const c = (base.c ^ i32(hash, 0)) & ~0x03000000
  return new Address(base.a, base.b, c, base.d ^ i32(hash, 4))
}

/** The MAC that goes with a name: of one station, locally administered. */
export function hashMac(name: string, password = ''): Mac {
  const h = hashOf(name, password, 0)
  return Mac.read(Uint8Array.of((h[0] | 2) & ~1, h[1], h[2], h[5], h[6], h[7]), 0)
}

/** Names are hashed as they are written, but for one dot at the end: libioth does not change their case. */
function hashOf(name: string, password: string, slot: number): Buffer {
  const hash = createHash('md5').update(name.replace(/\.$/, '')).update(password)
  if (slot !== 0) {
    const bytes = new Uint8Array(4)
    writeU32(bytes, 0, slot)
    hash.update(bytes)
  }
  return hash.digest()
}
