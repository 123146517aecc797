import { Address } from '../../../wire/address.ts'

const NO_BYTES = new Uint8Array(0)

/**
 * A datagram to be sent and what sendmsg(2) may say of it. One object, filled in anew for each: addresses are words (IPv4
 * v4-mapped), so that whoever reads them from a ring makes no objects.
 */
export class Outgoing {
  /** The text: copied once, into the frame it leaves in. */
  bytes: Uint8Array = NO_BYTES
  at = 0
  length = 0
  /** Where from (four words; IP_PKTINFO), if `sourced`, and where to (four more), if `named`. Else as the endpoint has it. */
  readonly words = new Int32Array(8)
  sourced = false
  named = false
  port = 0
  /** IP_TTL and IP_TOS for this one; -1: as the endpoint has it. */
  ttl = -1
  tos = -1

  /** The text, and nothing else: to the peer. */
  text(bytes: Uint8Array, at = 0, length = bytes.length - at): this {
    this.bytes = bytes
    this.at = at
    this.length = length
    this.sourced = this.named = false
    this.ttl = this.tos = -1
    return this
  }

  to(address: Address, port: number): this {
    for (let i = 0; i < 4; i++) this.words[4 + i] = address.word(i)
    this.port = port
    this.named = true
    return this
  }

  /** Where to, if `named`. */
  get destination(): Address {
    const { words } = this
    return new Address(words[4], words[5], words[6], words[7])
  }

  from(address: Address): this {
    for (let i = 0; i < 4; i++) this.words[i] = address.word(i)
    this.sourced = true
    return this
  }
}
