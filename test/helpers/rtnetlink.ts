// Requests to a stack's rtnetlink, and what it answers, in words.
import { type Context } from '../../src/netlink/request.ts'
import { routeRequest } from '../../src/netlink/rtnetlink.ts'
import {
  NLM_F_REQUEST,
  attribute,
  attributesIn,
  concat,
  i32s,
  messagesIn,
  netlinkMessage,
  u8s,
  type NetlinkMessage,
} from '../../src/wire/netlink.ts'
import { errnoName } from '../../src/base/errno.ts'
import { addressBytes } from '../../src/netlink/request.ts'
import { addr } from './net.ts'
import type { Stack } from '../../src/stack/stack.ts'

export const DUMP = 0x300
export const REPLACE = 0x100
export const EXCL = 0x200
export const CREATE = 0x400
export const APPEND = 0x800

export const contextOf = (stack: Stack, strict = true): Context => ({
  stack,
  now: 0,
  strict,
  sockets: () => [],
})

export function request(type: number, flags: number, body: Uint8Array): NetlinkMessage {
  const [found] = messagesIn(netlinkMessage(type, flags | NLM_F_REQUEST, 1, 0, body))
  return found
}

export const address = (type: number, text: string) => attribute(type, addressBytes(addr(text)))

/** 'done'; an error and its sentence; or the bodies of what came. */
export function ask(
  context: Context,
  type: number,
  flags: number,
  ...body: Uint8Array[]
): string | Uint8Array[] {
  const outcome = routeRequest(context, request(type, flags, concat(body)))
  if (outcome === undefined) return 'done'
  if ('list' in outcome) return [...outcome.list].map(answer => answer.body)
  if ('type' in outcome) return [outcome.body]
  return outcome.why === undefined
    ? errnoName(outcome.errno)
    : `${errnoName(outcome.errno)}: ${outcome.why}`
}

const family = (text: string) => (text.includes(':') ? 10 : 2)

/** struct rtmsg and attributes. */
export interface RouteWish {
  to: string
  via?: string
  source?: string
  metric?: number
  protocol?: number
  type?: number
  table?: number
  scope?: number
  index?: number
  flags?: number
  more?: Uint8Array
}

export function routeWish(w: RouteWish): Uint8Array {
  const [network, length] = w.to.split('/')
  const parts = [
    u8s(
      family(network),
      Number(length),
      0,
      0,
      w.table ?? 254,
      w.protocol ?? 3,
      w.scope ?? 0,
      w.type ?? 1,
    ),
    i32s(w.flags ?? 0),
    address(1, network),
  ]
  if (w.via !== undefined) parts.push(address(5, w.via))
  if (w.source !== undefined) parts.push(address(7, w.source))
  if (w.metric !== undefined) parts.push(attribute(6, i32s(w.metric)))
  if (w.index !== undefined) parts.push(attribute(4, i32s(w.index)))
  if (w.more !== undefined) parts.push(w.more)
  return concat(parts)
}

/** struct ifaddrmsg and attributes. */
export function addressWish(text: string, index = 2, ...more: Uint8Array[]): Uint8Array {
  const [host, length] = text.split('/')
  return concat([
    u8s(family(host), Number(length), 0, 0),
    i32s(index),
    address(2, host),
    address(1, host),
    ...more,
  ])
}

/** An attribute of an answer, as hexadecimal. */
export const attributeOf = (body: Uint8Array, head: number, type: number): string | undefined => {
  const value = attributesIn(body, head).get(type)
  return value && Buffer.from(value).toString('hex')
}
