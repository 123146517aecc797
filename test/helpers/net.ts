// A wire made of arrays, and stacks and parts of stacks at its ends.
import { u16 } from '../../src/base/bytes.ts'
import { Loopback } from '../../src/stack/link/loopback.ts'
import { Nic } from '../../src/stack/link/nic.ts'
import { CHECKSUM_UNKNOWN, CHECKSUM_VALID, type FrameSink } from '../../src/stack/link/sink.ts'
import { Ipv4 } from '../../src/stack/net/ipv4.ts'
import type { Packet } from '../../src/stack/net/path.ts'
import type { Protocol, Unreachable } from '../../src/stack/net/protocol.ts'
import { InterfaceAddress } from '../../src/stack/net/addresses.ts'
import { randomWords } from '../../src/base/random.ts'
import { ANY_V4, type Address } from '../../src/wire/address.ts'
import { parseAddress, parsePrefix } from '../../src/wire/address-text.ts'
import { ARP_LEN, ARP_REPLY, ARP_REQUEST, emitArp } from '../../src/wire/arp.ts'
import {
  ETHER_HEADER_LEN,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  emitEthernet,
} from '../../src/wire/ethernet.ts'
import { emitIpv4 } from '../../src/wire/ipv4.ts'
import { BROADCAST_MAC, Mac, ZERO_MAC, parseMac } from '../../src/wire/mac.ts'
import { randomBytes } from './random.ts'

export interface Frame {
  readonly bytes: Uint8Array
  readonly gsoSize: number
  readonly checksumStart: number
  readonly checksumOffset: number
}

/** Keeps what is sent. `room`: frames that it takes before it says that it is full. */
export class TestSink implements FrameSink {
  readonly mtu: number
  readonly maxFrame: number
  readonly offload: boolean
  /** Not aligned, as frames in a ring are not. */
  readonly bytes = new Uint8Array(70_003)
  frames: Frame[] = []
  room = Infinity
  opened = -1

  constructor(mtu = 1500, offload = false) {
    this.mtu = mtu
    this.offload = offload
    this.maxFrame = offload ? 65_549 : mtu + ETHER_HEADER_LEN
  }

  open(length: number): number {
    if (length > this.maxFrame) throw new RangeError(`frame of ${length} bytes`)
    if (this.frames.length >= this.room) return -1
    this.bytes.fill(0xa5) // what lay there before
    this.opened = length
    return 3
  }

  close(length: number, gsoSize: number, checksumStart: number, checksumOffset: number): void {
    if (this.opened < 0 || length > this.opened)
      throw new Error(`close(${length}) of ${this.opened}`)
    this.opened = -1
    const bytes = this.bytes.slice(3, 3 + length)
    this.frames.push({ bytes, gsoSize, checksumStart, checksumOffset })
  }

  /** Takes away what was sent since the last time. */
  take(): Frame[] {
    const { frames } = this
    this.frames = []
    return frames
  }
}

/** What takes frames: a Nic, a Stack. */
export interface Station {
  frameArrives(
    bytes: Uint8Array,
    at: number,
    length: number,
    checksum: number,
    gsoSize: number,
    now: number,
    checksumStart?: number,
    checksumOffset?: number,
  ): void
}

/** Hands a frame to a station, at an odd place in memory. */
export function arrive(station: Station, frame: Frame | Uint8Array, now: number): void {
  const bytes = frame instanceof Uint8Array ? frame : frame.bytes
  const { gsoSize, checksumStart, checksumOffset } =
    frame instanceof Uint8Array ? { gsoSize: 0, checksumStart: 0, checksumOffset: 0 } : frame
  const memory = new Uint8Array(bytes.length + 9).fill(0x5a)
  memory.set(bytes, 5)
  const checksum = checksumStart > 0 ? CHECKSUM_VALID : CHECKSUM_UNKNOWN
  const { length } = bytes
  station.frameArrives(memory, 5, length, checksum, gsoSize, now, checksumStart, checksumOffset)
}

/** Carries frames both ways until there are none, the first of `a` first. How many there were. */
export function exchange(
  a: { sink: TestSink; station: Station },
  b: { sink: TestSink; station: Station },
  now: number,
): number {
  let count = 0
  while (a.sink.frames.length + b.sink.frames.length > 0)
    for (const [from, to] of [
      [a, b],
      [b, a],
    ])
      for (const frame of from.sink.take()) {
        arrive(to.station, frame, now)
        count++
      }
  return count
}

/** `ip('10.0.0.5')`: the address as a word. */
export const ip = (text: string): number => parseAddress(text)!.d
export const addr = (text: string): Address => parseAddress(text)!
export const mac = (text: string): Mac => parseMac(text)!

/** Station number n's MAC: 02:00:00:00:00:0n. */
export const macOf = (n: number): Mac => new Mac(0x0200, n)

/** `interfaceAddress('10.0.0.1/24')`: static and assigned. */
export const interfaceAddress = (text: string): InterfaceAddress =>
  new InterfaceAddress(parsePrefix(text)!, 'static', 'PREFERRED', Infinity, Infinity)

/** A protocol that notes what comes. */
export class Recorder implements Protocol {
  arrived: { src: string; dst: string; text: Buffer; checksumValid: boolean; loopback: boolean }[] =
    []
  errors: Unreachable[] = []
  /** Of errors: they quote what was sent. */
  believes = true

  arrives(packet: Packet): void {
    const { bytes, transport, length, checksumValid, loopback } = packet
    const word = (f: (i: number) => number) => [0, 1, 2, 3].map(i => f(i) >>> 0).join(':')
    const text = Buffer.from(bytes.slice(transport, transport + length))
    this.arrived.push({
      src: word(i => packet.srcWord(i)),
      dst: word(i => packet.dstWord(i)),
      text,
      checksumValid,
      loopback,
    })
  }

  unreachable(error: Unreachable): boolean {
    this.errors.push(error)
    return this.believes
  }

  take(): this['arrived'] {
    const { arrived } = this
    this.arrived = []
    return arrived
  }
}

/** Link and IPv4 of one host, without a transport; `protocol` is registered as TCP. */
export function host(n: number, addresses: string[] = [`10.0.0.${n}/24`], gateway?: string) {
  const nic = new Nic(macOf(n))
  const loopback = new Loopback()
  const ipv4 = new Ipv4(nic, loopback, randomWords(randomBytes(n)))
  for (const text of addresses) ipv4.addresses.add(interfaceAddress(text))
  if (gateway !== undefined)
    ipv4.routes.add({
      destination: { address: ANY_V4, prefixLength: 0 },
      gateway: addr(gateway),
      source: undefined,
      metric: 0,
      origin: 'static',
      expires: Infinity,
    })
  const protocol = new Recorder()
  ipv4.protocols.set(6, protocol)
  const sink = new TestSink()
  nic.setSink(sink)
  ipv4.run(0)
  ipv4.run(2000) // both announcements are out
  sink.take()
  return { nic, arp: ipv4.arp, loopback, routes: ipv4.routes, ipv4, protocol, sink, station: nic }
}

export function ethernet(dst: Mac, src: Mac, type: number, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(ETHER_HEADER_LEN + payload.length)
  emitEthernet(frame, 0, dst, src, type)
  frame.set(payload, ETHER_HEADER_LEN)
  return frame
}

/** An ARP frame from a station, to everybody unless `dst` says to whom. */
export function arpFrame(
  op: 'request' | 'reply',
  sha: Mac,
  spa: string,
  tpa: string,
  dst: Mac = BROADCAST_MAC,
): Uint8Array {
  const message = new Uint8Array(ARP_LEN)
  emitArp(message, 0, {
    op: op === 'request' ? ARP_REQUEST : ARP_REPLY,
    sha,
    spa: ip(spa),
    tha: op === 'reply' ? dst : ZERO_MAC,
    tpa: ip(tpa),
  })
  return ethernet(dst, sha, ETHERTYPE_ARP, message)
}

export interface Ipv4Fields {
  src?: string
  dst?: string
  protocol?: number
  id?: number
  /** DF, MF and offset. */
  fragment?: number
}

/** A packet from 10.0.0.2 to 10.0.0.1 unless told otherwise. */
export function ipv4Packet(payload: Uint8Array, fields: Ipv4Fields = {}): Uint8Array {
  const { src = '10.0.0.2', dst = '10.0.0.1', protocol = 6, id = 1, fragment = 0 } = fields
  const packet = new Uint8Array(20 + payload.length)
  emitIpv4(packet, 0, packet.length, id, fragment, 64, protocol, ip(src), ip(dst))
  packet.set(payload, 20)
  return packet
}

/** The same in a frame from station 2 to station 1. */
export const ipv4Frame = (payload: Uint8Array, fields: Ipv4Fields = {}): Uint8Array =>
  ethernet(macOf(1), macOf(2), ETHERTYPE_IPV4, ipv4Packet(payload, fields))

/** What a frame is, in short, for tests that look at many. */
export function typeOf(frame: Frame): string {
  const type = u16(frame.bytes, 12)
  if (type === ETHERTYPE_ARP) return u16(frame.bytes, 20) === ARP_REQUEST ? 'request' : 'reply'
  return type === ETHERTYPE_IPV4 ? 'ipv4' : `type ${type}`
}
