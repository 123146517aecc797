// struct sockaddr_in and sockaddr_in6 as programs pass them (ip(7), ipv6(7)).
import { EAFNOSUPPORT, EINVAL } from '../base/errno.ts'
import { AF_INET, AF_INET6 } from '../ffi/libc.ts'
import { ANY_V4, Address } from '../wire/address.ts'

export const AF_UNSPEC = 0
const SOCKADDR_IN_LEN = 16
/** RFC 2133's structure, without the scope: Linux takes it too. */
const SOCKADDR_IN6_MIN = 24

export interface Endpoint {
  readonly address: Address
  readonly port: number
}

/**
 * The address in the first `length` bytes for a socket of `family`; a negative errno as bind(2) and connect(2) give it.
 * An AF_INET6 socket takes IPv4 only as v4-mapped addresses.
 */
export function parseSockaddr(
  bytes: Uint8Array,
  length: number,
  family: number,
): Endpoint | number {
  if (length < 2) return -EINVAL
  const given = bytes[0] | (bytes[1] << 8)
  if (family === AF_INET) {
    if (length < SOCKADDR_IN_LEN) return -EINVAL
    if (given !== AF_INET) return -EAFNOSUPPORT
    return { address: Address.read(bytes, 4, 4), port: portIn(bytes) }
  }
  if (length < SOCKADDR_IN6_MIN) return -EINVAL
  if (given !== AF_INET6) return -EAFNOSUPPORT
  return { address: Address.read(bytes, 8, 16), port: portIn(bytes) }
}

/** bind(2) takes AF_UNSPEC with the wildcard address for AF_INET (old programs do it). */
export function parseBindAddress(
  bytes: Uint8Array,
  length: number,
  family: number,
): Endpoint | number {
  if (family === AF_INET && length >= SOCKADDR_IN_LEN && bytes[0] === AF_UNSPEC && bytes[1] === 0) {
    const any = bytes[4] | bytes[5] | bytes[6] | bytes[7]
    return any === 0 ? { address: ANY_V4, port: portIn(bytes) } : -EAFNOSUPPORT
  }
  return parseSockaddr(bytes, length, family)
}

const portIn = (bytes: Uint8Array) => (bytes[2] << 8) | bytes[3]
