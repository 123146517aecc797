// The IPv6 side of net.ts: a host without a transport, and packets for it.
import { Loopback } from '../../src/stack/link/loopback.ts'
import { Nic } from '../../src/stack/link/nic.ts'
import { Ipv6 } from '../../src/stack/net/ipv6.ts'
import { randomWords } from '../../src/base/random.ts'
import type { Address } from '../../src/wire/address.ts'
import { ETHERTYPE_IPV6 } from '../../src/wire/ethernet.ts'
import { Icmpv6Message, emitIcmpv6, sumIcmpv6 } from '../../src/wire/icmpv6.ts'
import { Ipv6Chain } from '../../src/wire/ipv6-extensions.ts'
import { emitIpv6 } from '../../src/wire/ipv6.ts'
import { type Mac, groupMac } from '../../src/wire/mac.ts'
import { type Frame, Recorder, TestSink, addr, ethernet, interfaceAddress, macOf } from './net.ts'
import { randomBytes } from './random.ts'

export interface Host6Options {
  addresses?: string[]
  /** Duplicate address detection is off unless told otherwise. */
  checks?: boolean
  mtu?: number
  offload?: boolean
}

/** Station n's link-local address: fe80::ff:fe00:n. */
export const linkLocalOf = (n: number): string => `fe80::ff:fe00:${n.toString(16)}`

/** Link and IPv6 of one host, 2001:db8::n/64 unless told otherwise; `protocol` is registered as TCP and UDP. */
export function host6(n: number, options: Host6Options = {}) {
  const { addresses = [`2001:db8::${n.toString(16)}/64`], checks = false, mtu, offload } = options
  const nic = new Nic(macOf(n))
  const loopback = new Loopback()
  const ipv6 = new Ipv6(nic, loopback, randomWords(randomBytes(n)))
  ipv6.ndp.checksDuplicates = checks
  ipv6.enable()
  for (const text of addresses) {
    const entry = interfaceAddress(text)
    entry.state = ipv6.firstState
    ipv6.addresses.add(entry)
  }
  const protocol = new Recorder()
  ipv6.protocols.set(6, protocol)
  ipv6.protocols.set(17, protocol)
  const sink = new TestSink(mtu, offload)
  nic.setSink(sink)
  if (!checks) for (let now = 0; now <= 2000; now += 500) ipv6.run(now) // announced, reported
  if (!checks) sink.take()
  return { nic, ipv6, neighbors: ipv6.neighbors, loopback, protocol, sink, station: nic }
}

export interface Ipv6Fields {
  src?: string
  dst?: string
  next?: number
  hopLimit?: number
}

/** A packet from 2001:db8::2 to 2001:db8::1 unless told otherwise. */
export function ipv6Packet(payload: Uint8Array, fields: Ipv6Fields = {}): Uint8Array {
  const { src = '2001:db8::2', dst = '2001:db8::1', next = 17, hopLimit = 64 } = fields
  const packet = new Uint8Array(40 + payload.length)
  emitIpv6(packet, 0, payload.length, next, hopLimit, addr(src), addr(dst))
  packet.set(payload, 40)
  return packet
}

/** The same in a frame from station 2, to station 1 or to the group. */
export function ipv6Frame(payload: Uint8Array, fields: Ipv6Fields = {}, from = macOf(2)) {
  const dst = addr(fields.dst ?? '2001:db8::1')
  const mac = dst.isMulticast ? groupMac(dst) : macOf(1)
  return ethernet(mac, from, ETHERTYPE_IPV6, ipv6Packet(payload, fields))
}

/** A frame with an ICMPv6 message as `emit` writes it, its checksum right. */
export function icmp6Frame(
  emit: (bytes: Uint8Array, at: number) => number,
  fields: Ipv6Fields = {},
  from?: Mac,
): Uint8Array {
  const space = new Uint8Array(70_000)
  const message = space.slice(0, emit(space, 0))
  const frame = ipv6Frame(message, { next: 58, hopLimit: 255, ...fields }, from)
  sumIcmpv6(frame, 14, 54, message.length)
  return frame
}

/** The same of type, code, second word and body. */
export const icmp6 = (type: number, code: number, rest: number, body: Uint8Array) => {
  return (bytes: Uint8Array, at: number): number => {
    emitIcmpv6(bytes, at, type, code, rest)
    bytes.set(body, at + 8)
    return 8 + body.length
  }
}

/** The ICMPv6 message in a frame, checked. */
export function messageIn(frame: Frame) {
  const { bytes } = frame
  const chain = new Ipv6Chain()
  if (chain.walk(bytes, 14, bytes.length - 14) !== 'upper') throw new Error('no message')
  const message = Icmpv6Message.parse(
    bytes,
    14,
    14 + chain.offset,
    bytes.length - 14 - chain.offset,
  )
  if (message === undefined) throw new Error('a bad checksum')
  return message
}

/** Makes `host` know station n's address. */
export function know(host: { ipv6: Ipv6 }, address: Address | string, n: number, now = 2000): void {
  const { neighbors } = host.ipv6
  const to = typeof address === 'string' ? addr(address) : address
  neighbors.learn(neighbors.resolve(to), macOf(n), true, now)
}
