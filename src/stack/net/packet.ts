import { i32, u16 } from '../../base/bytes.ts'
import { Address } from '../../wire/address.ts'
import { IPV4_DST, IPV4_SRC, IPV4_TOS, IPV4_TTL } from '../../wire/ipv4.ts'
import { IPV6_DST, IPV6_HOP_LIMIT, IPV6_SRC } from '../../wire/ipv6.ts'
import type { Packet } from './path.ts'

/** The Packet that IP shows to protocols: filled in anew for each datagram. */
export class ArrivedPacket implements Packet {
  bytes: Uint8Array = new Uint8Array(0)
  ip = 0
  family: 4 | 6 = 4
  transport = 0
  length = 0
  checksumValid = false
  loopback = false
  fragmented = false
  group = false

  get tos(): number {
    if (this.family === 4) return this.bytes[this.ip + IPV4_TOS]
    return (u16(this.bytes, this.ip) >>> 4) & 0xff
  }

  get ttl(): number {
    return this.bytes[this.ip + (this.family === 4 ? IPV4_TTL : IPV6_HOP_LIMIT)]
  }

  srcWord(i: number): number {
    return this.word(this.family === 4 ? IPV4_SRC : IPV6_SRC, i)
  }

  dstWord(i: number): number {
    return this.word(this.family === 4 ? IPV4_DST : IPV6_DST, i)
  }

  src(): Address {
    return Address.read(
      this.bytes,
      this.ip + (this.family === 4 ? IPV4_SRC : IPV6_SRC),
      this.family === 4 ? 4 : 16,
    )
  }

  dst(): Address {
    return Address.read(
      this.bytes,
      this.ip + (this.family === 4 ? IPV4_DST : IPV6_DST),
      this.family === 4 ? 4 : 16,
    )
  }

  private word(field: number, i: number): number {
    if (this.family === 6) return i32(this.bytes, this.ip + field + 4 * i)
    return i === 3 ? i32(this.bytes, this.ip + field) : i === 2 ? 0xffff : 0
  }
}
