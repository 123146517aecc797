// What changes in a stack, as rtnetlink(7) tells it to its groups: the stack counts changes, and what is different from what was told
// last is told. Two changes that take each other back within a turn are nothing.
import type { Stack } from '../stack/stack.ts'
import { addresses, interfaces } from '../view/interfaces.ts'
import { neighbors } from '../view/neighbors.ts'
import { routes } from '../view/routes.ts'
import { formatAddress } from '../wire/address-text.ts'
import { RTM_DELADDR, RTM_NEWADDR, addressBody } from './addr.ts'
import { RTM_DELLINK, RTM_NEWLINK, linkBody } from './link.ts'
import { RTM_DELNEIGH, RTM_NEWNEIGH, neighborBody } from './neigh.ts'
import { RTM_DELROUTE, RTM_NEWROUTE, routeBody } from './route.ts'

/** RTNLGRP_*. */
export const GROUP_LINK = 1
export const GROUP_NEIGH = 3
export const GROUP_IPV4_IFADDR = 5
export const GROUP_IPV4_ROUTE = 7
export const GROUP_IPV6_IFADDR = 9
export const GROUP_IPV6_ROUTE = 11

/** A message for all who are in a group. */
export interface News {
  readonly group: number
  readonly type: number
  readonly body: Uint8Array
}

/** Something that can be told of: `key` says what it is, `state` what can change. */
interface Fact {
  readonly group: number
  readonly state: string
  readonly made: number
  readonly gone: number
  readonly body: Uint8Array
}

export class Monitor {
  private readonly stack: Stack
  private facts: Map<string, Fact>
  private counts = ''

  constructor(stack: Stack, now: number) {
    this.stack = stack
    this.facts = factsOf(stack, now)
    this.counts = countsOf(stack)
  }

  /** What is new since the last time. */
  look(now: number): News[] {
    const counts = countsOf(this.stack)
    if (counts === this.counts) return []
    const before = this.facts
    this.counts = counts
    this.facts = factsOf(this.stack, now)
    const news: News[] = []
    for (const [key, { group, gone, body }] of before)
      if (!this.facts.has(key)) news.push({ group, type: gone, body })
    for (const [key, { group, made, body, state }] of this.facts)
      if (before.get(key)?.state !== state) news.push({ group, type: made, body })
    return news
  }
}

/** Differs if anything may have changed. */
const countsOf = ({ nic, ipv4, ipv6, generation }: Stack): string =>
  [
    generation,
    ipv4.arp.neighbors.generation,
    ipv6.neighbors.generation,
    nic.mtu,
    nic.isUp,
    nic.sink === undefined,
  ].join()

function factsOf(stack: Stack, now: number): Map<string, Fact> {
  const facts = new Map<string, Fact>()
  const down = stack.nic.sink === undefined
  const names = new Map(interfaces(stack).map(({ index, name }) => [index, name]))
  for (const link of interfaces(stack))
    facts.set(`link ${link.index}`, {
      group: GROUP_LINK,
      state: `${link.flags} ${link.mtu}`,
      made: RTM_NEWLINK,
      gone: RTM_DELLINK,
      body: linkBody(link, true),
    })
  for (const a of addresses(stack, now))
    facts.set(`address ${a.index} ${formatAddress(a.address)}/${a.prefixLength}`, {
      group: a.address.isV4 ? GROUP_IPV4_IFADDR : GROUP_IPV6_IFADDR,
      state: `${a.state} ${a.secondary}`,
      made: RTM_NEWADDR,
      gone: RTM_DELADDR,
      body: addressBody(a, names.get(a.index)!),
    })
  for (const r of routes(stack, now)) {
    const via = r.gateway === undefined ? '' : formatAddress(r.gateway)
    const to = `${formatAddress(r.destination)}/${r.prefixLength}`
    const source = r.source === undefined ? '' : formatAddress(r.source)
    facts.set(`route ${r.table} ${to} ${via} ${r.metric} ${r.type} ${r.protocol} ${source}`, {
      group: r.destination.isV4 ? GROUP_IPV4_ROUTE : GROUP_IPV6_ROUTE,
      state: '',
      made: RTM_NEWROUTE,
      gone: RTM_DELROUTE,
      body: routeBody(r, down),
    })
  }
  for (const n of neighbors(stack, now))
    facts.set(`neighbor ${formatAddress(n.address)}`, {
      group: GROUP_NEIGH,
      state: `${n.state} ${n.mac?.join(':')}`,
      made: RTM_NEWNEIGH,
      gone: RTM_DELNEIGH,
      body: neighborBody(n),
    })
  return facts
}
