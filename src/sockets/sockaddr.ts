// struct sockaddr_in and sockaddr_in6 as programs pass them (ip(7), ipv6(7)).
import { EADDRNOTAVAIL, EAFNOSUPPORT, EINVAL, ENETUNREACH, ENODEV } from '../base/errno.ts'
import { AF_INET, AF_INET6 } from '../ffi/libc.ts'
import { LOOPBACK_INDEX, NIC_INDEX } from '../stack/stack.ts'
import { ANY_V4, Address, isLinkLocal } from '../wire/address.ts'

export const AF_UNSPEC = 0
const SOCKADDR_IN_LEN = 16
/** RFC 2133's structure, without the scope: Linux takes it too. */
const SOCKADDR_IN6_MIN = 24
const SOCKADDR_IN6_LEN = 28
const SCOPE_ID = 24

export interface Endpoint {
  readonly address: Address
  readonly port: number
  /** The interface of a link-local address (sin6_scope_id); 0: not said, or it does not matter. */
  readonly scope: number
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
    return { address: Address.read(bytes, 4, 4), port: portIn(bytes), scope: 0 }
  }
  if (length < SOCKADDR_IN6_MIN) return -EINVAL
  if (given !== AF_INET6) return -EAFNOSUPPORT
  const address = Address.read(bytes, 8, 16)
  const says = length >= SOCKADDR_IN6_LEN && isLinkLocal(address)
  return { address, port: portIn(bytes), scope: says ? u32le(bytes, SCOPE_ID) : 0 }
}

/** bind(2) takes AF_UNSPEC with the wildcard address for AF_INET (old programs do it). */
export function parseBindAddress(
  bytes: Uint8Array,
  length: number,
  family: number,
): Endpoint | number {
  if (family === AF_INET && length >= SOCKADDR_IN_LEN && bytes[0] === AF_UNSPEC && bytes[1] === 0) {
    const any = bytes[4] | bytes[5] | bytes[6] | bytes[7]
    return any === 0 ? { address: ANY_V4, port: portIn(bytes), scope: 0 } : -EAFNOSUPPORT
  }
  return parseSockaddr(bytes, length, family)
}

/** What bind(2) says of the interface, and connect(2) of a socket that has none yet: 0 or a negative errno. */
export const bindScope = ({ address, scope }: Endpoint): number => {
  if (!isLinkLocal(address) || scope === NIC_INDEX) return 0
  return scope === 0 ? -EINVAL : scope === LOOPBACK_INDEX ? -EADDRNOTAVAIL : -ENODEV
}

/** `local`: what the socket is bound to; a link-local address has told the interface. */
export const connectScope = ({ address, scope }: Endpoint, local: Address): number => {
  if (!isLinkLocal(address) || scope === NIC_INDEX) return 0
  if (scope !== 0) return -ENETUNREACH
  return isLinkLocal(local) ? 0 : -EINVAL
}

/** sin6_scope_id of an address of ours, or of a peer. */
export const scopeIdOf = (address: Address): number => (isLinkLocal(address) ? NIC_INDEX : 0)

const portIn = (bytes: Uint8Array) => (bytes[2] << 8) | bytes[3]

const u32le = (bytes: Uint8Array, i: number) =>
  (bytes[i] | (bytes[i + 1] << 8) | (bytes[i + 2] << 16) | (bytes[i + 3] << 24)) >>> 0
