// ARP for IPv4 over Ethernet (RFC 826), the only pair there is here.
import { i32, u16, writeU16, writeU32 } from '../base/bytes.ts'
import { Mac } from './mac.ts'

export const ARP_LEN = 28
export const ARP_REQUEST = 1
export const ARP_REPLY = 2

const HRD_ETHERNET = 1
const PRO_IPV4 = 0x0800

/** An ARP message where it lies. Protocol addresses are words. */
export class ArpMessage {
  readonly bytes: Uint8Array
  readonly at: number

  constructor(bytes: Uint8Array, at: number) {
    this.bytes = bytes
    this.at = at
  }

  /** The message at `at`, maybe padded; undefined if it is cut short or not a request or reply for IPv4 on Ethernet. */
  static parse(bytes: Uint8Array, at: number, length: number): ArpMessage | undefined {
    if (length < ARP_LEN) return
    if (u16(bytes, at) !== HRD_ETHERNET || u16(bytes, at + 2) !== PRO_IPV4) return
    if (bytes[at + 4] !== 6 || bytes[at + 5] !== 4) return
    const op = u16(bytes, at + 6)
    return op === ARP_REQUEST || op === ARP_REPLY ? new ArpMessage(bytes, at) : undefined
  }

  get op(): number {
    return u16(this.bytes, this.at + 6)
  }
  get sha(): Mac {
    return Mac.read(this.bytes, this.at + 8)
  }
  get spa(): number {
    return i32(this.bytes, this.at + 14)
  }
  get tha(): Mac {
    return Mac.read(this.bytes, this.at + 18)
  }
  get tpa(): number {
    return i32(this.bytes, this.at + 24)
  }
}

export interface ArpFields {
  op: number
  sha: Mac
  spa: number
  tha: Mac
  tpa: number
}

/** Writes ARP_LEN bytes at `at`. */
export function emitArp(bytes: Uint8Array, at: number, fields: ArpFields): void {
  writeU16(bytes, at, HRD_ETHERNET)
  writeU16(bytes, at + 2, PRO_IPV4)
  bytes[at + 4] = 6
  bytes[at + 5] = 4
  writeU16(bytes, at + 6, fields.op)
  fields.sha.write(bytes, at + 8)
  writeU32(bytes, at + 14, fields.spa)
  fields.tha.write(bytes, at + 18)
  writeU32(bytes, at + 24, fields.tpa)
}
