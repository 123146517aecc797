// What answers a netlink request: dumps, single answers, orders. Each subject (link.ts, route.ts …) has a table of them.
import { type InterfaceView, interfaces } from '../view/interfaces.ts'
import type { SocketView } from '../view/sockets.ts'
import type { Stack } from '../stack/stack.ts'
import { Address } from '../wire/address.ts'
import { type NetlinkMessage, attribute } from '../wire/netlink.ts'

export const AF_UNSPEC = 0
export const AF_INET = 2
export const AF_INET6 = 10

/** What requests are about. */
export interface Context {
  readonly stack: Stack
  /** ms of the stack's clock. */
  readonly now: number
  /** NETLINK_GET_STRICT_CHK: dumps are of what the request's header names. */
  readonly strict: boolean
  readonly sockets: () => Iterable<SocketView>
}

/** A message of an answer: its type and what is behind the header. */
export interface Answer {
  readonly type: number
  readonly body: Uint8Array
}

/** A negative errno, and the sentence that an extended acknowledgment tells. */
export interface Refusal {
  readonly errno: number
  readonly why?: string
}

export const refuse = (errno: number, why?: string): Refusal => ({ errno, why })
export const isRefusal = (r: object): r is Refusal => 'errno' in r

export interface Handler {
  /** NLM_F_DUMP. */
  readonly dump?: (context: Context, request: NetlinkMessage) => Iterable<Answer> | Refusal
  /** Anything else; undefined: done, and there is nothing to tell but that. */
  readonly act?: (context: Context, request: NetlinkMessage) => Answer | Refusal | undefined
}

export type Handlers = Readonly<Record<number, Handler>>

/** 4 or 16 bytes, in network order. */
export function addressBytes(address: Address): Uint8Array {
  const bytes = new Uint8Array(16)
  address.write(bytes, 0)
  return address.isV4 ? bytes.subarray(12) : bytes
}

/** The address in an attribute of a request for `family`; undefined: there is none, or it is no such address. */
export function addressIn(bytes: Uint8Array | undefined, family: number): Address | undefined {
  const length = family === AF_INET ? 4 : 16
  return bytes?.length === length ? Address.read(bytes, 0, length) : undefined
}

export const addressAttribute = (type: number, address: Address | undefined): Uint8Array =>
  address === undefined ? NOTHING : attribute(type, addressBytes(address))

export const NOTHING = new Uint8Array(0)

export const familyOf = (address: Address): number => (address.isV4 ? AF_INET : AF_INET6)

/** Is it about this family, or about all? */
export const isOf = (family: number, address: Address): boolean =>
  (family !== AF_INET && family !== AF_INET6) || family === familyOf(address)

export const interfaceAt = (stack: Stack, index: number): InterfaceView | undefined =>
  interfaces(stack).find(i => i.index === index)
