import type { Address } from '../../wire/address.ts'

/**
 * The way to one destination from one source address: route, link and neighbor, looked up once and kept by its
 * users (a TCP connection keeps one). A datagram is built where it will be sent from:
 *
 *   const at = path.open(headerLength + n)     // -1: the link has no room now, try when it has
 *   …write the transport header at path.bytes[at], text behind it…
 *   path.close(headerLength + n, gsoSize, 16)  // IP header, checksum (or its offload), link header; off it goes
 *
 * Nothing else may be opened on the same link between the two.
 */
export interface Path {
  readonly src: Address
  readonly dst: Address
  /** Largest datagram that needs no fragmentation: the link's mtu, or less where path MTU discovery said so. */
  readonly mtu: number
  /** IP header bytes: 20 or 40. */
  readonly headerLength: number
  /** Largest datagram that may be opened, IP header included: 65,535 where the link segments for us, else mtu. */
  readonly maxDatagram: number
  readonly bytes: Uint8Array
  /** Space for a transport header and text, `length` bytes; its offset in `bytes`, or -1. */
  open(length: number): number
  /**
   * Completes and sends. `checksumOffset`: where the transport checksum lies in the transport header; -1: there is none.
   * `gsoSize`: text bytes per segment when the datagram is longer than mtu, else 0. `tos`: DSCP and ECN bits (the traffic
   * class), 0 unless given. `ttl`: the time to live (hop limit), 64 unless given.
   */
  close(length: number, gsoSize: number, checksumOffset: number, tos?: number, ttl?: number): void
  /** The peer showed that it hears us (RFC 4861 7.3.1): the neighbor is reachable. */
  confirm(now: number): void
}

/** IP_MTU_DISCOVER and IPV6_MTU_DISCOVER: how datagrams are kept within the path's mtu, with Linux's numbers. */
export const PMTUDISC_DONT = 0
export const PMTUDISC_WANT = 1
export const PMTUDISC_DO = 2
export const PMTUDISC_PROBE = 3
export const PMTUDISC_INTERFACE = 4
export const PMTUDISC_OMIT = 5

/** Where datagrams to groups and to everybody go: out of the link, back to ourselves. */
export const TO_LINK = 1
export const TO_SELF = 2

/** What a path is to a protocol of datagrams. Those that can be set are for the datagrams opened after that. */
export interface DatagramPath extends Path {
  /** PMTUDISC_*; `maxDatagram` follows it. */
  discover: number
  /** IPV6_MTU: what is larger is cut, or not sent, though the path might take it; 0: as the path says. */
  fragmentSize: number
  /** TO_* bits, where `isGroup`. */
  copies: number
  readonly isGroup: boolean
  /** To everybody on a link: SO_BROADCAST allows it. */
  readonly isBroadcast: boolean
  /**
   * Sends a packet that is there already, `length` bytes with the IP header, no larger than the link's mtu: as it is, whatever
   * it says. False: the link has no room now.
   */
  sendWhole(bytes: Uint8Array, at: number, length: number): boolean
}

/** An arriving datagram, where it lies; one object is used again for every packet. */
export interface Packet {
  readonly bytes: Uint8Array
  /** Offset of the IP header. */
  readonly ip: number
  readonly family: 4 | 6
  /** Offset and length of the transport header and its text, padding and IP header removed. */
  readonly transport: number
  readonly length: number
  /** The transport checksum needs no check. */
  readonly checksumValid: boolean
  /** DSCP and ECN bits (traffic class); time to live (hop limit). */
  readonly tos: number
  readonly ttl: number
  /** Arrived over loopback. */
  readonly loopback: boolean
  /** Arrived in fragments, or as if (an IPv6 atomic fragment). */
  readonly fragmented: boolean
  /** To a group or to everybody: for all who want it, and never answered by an error (RFC 1122 section 3.2.2). */
  readonly group: boolean
  /** Addresses as words, no allocation: word(0..3) of source and destination (v4-mapped for IPv4). */
  srcWord(i: number): number
  dstWord(i: number): number
  /** The same as objects (allocates). */
  src(): Address
  dst(): Address
}
