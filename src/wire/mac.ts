import { i32, u16, writeU16, writeU32 } from '../base/bytes.ts'
import { Address } from './address.ts'

/** An Ethernet (MAC) address: 16 bits and 32 bits (signed), to compare without looking at six bytes. Immutable. */
export class Mac {
  readonly high: number
  readonly low: number

  constructor(high: number, low: number) {
    this.high = high & 0xffff
    this.low = low | 0
  }

  /** From 6 bytes at `i`. */
  static read(bytes: Uint8Array, i: number): Mac {
    return new Mac(u16(bytes, i), i32(bytes, i + 2))
  }

  /** A fresh address for one of our stations: unicast, locally administered (IEEE 802, 8.4). */
  static local(random: (bytes: Uint8Array) => void): Mac {
    const bytes = new Uint8Array(6)
    random(bytes)
    bytes[0] = (bytes[0] & 0xfc) | 0x02
    return Mac.read(bytes, 0)
  }

  /** Broadcast or multicast: no station's own. */
  get isGroup(): boolean {
    return (this.high & 0x100) !== 0
  }

  get isZero(): boolean {
    return this.high === 0 && this.low === 0
  }

  equals(o: Mac): boolean {
    return this.low === o.low && this.high === o.high
  }

  write(bytes: Uint8Array, i: number): void {
    writeU16(bytes, i, this.high)
    writeU32(bytes, i + 2, this.low)
  }
}

/** Where packets to an IPv6 group go (RFC 2464 section 7). */
export const groupMac = (group: Address): Mac => new Mac(0x3333, group.d)

/** The address of prefix/64 whose identifier is the MAC (RFC 4291 appendix A). */
export const eui64 = (prefix: Address, mac: Mac): Address =>
  new Address(
    prefix.a,
    prefix.b,
    ((mac.high ^ 0x0200) << 16) | ((mac.low >>> 24) << 8) | 0xff,
    (0xfe << 24) | (mac.low & 0xffffff),
  )

export const BROADCAST_MAC = new Mac(0xffff, 0xffffffff)
export const ZERO_MAC = new Mac(0, 0)

/** `02:00:00:00:00:05`, with colons or all with dashes; undefined for anything else. */
export function parseMac(text: string): Mac | undefined {
  if (!/^[0-9a-f]{2}([:-])[0-9a-f]{2}(\1[0-9a-f]{2}){4}$/i.test(text)) return
  return Mac.read(
    Uint8Array.from(text.split(/[:-]/), part => parseInt(part, 16)),
    0,
  )
}

export function formatMac(mac: Mac): string {
  const bytes = new Uint8Array(6)
  mac.write(bytes, 0)
  return Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join(':')
}
