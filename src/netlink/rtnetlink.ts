// NETLINK_ROUTE: which request is whose.
import { EOPNOTSUPP } from '../base/errno.ts'
import { NLM_F_DUMP, type NetlinkMessage } from '../wire/netlink.ts'
import { ADDR_HANDLERS } from './addr.ts'
import { LINK_HANDLERS } from './link.ts'
import { NEIGH_HANDLERS } from './neigh.ts'
import type { Answer, Context, Handlers, Refusal } from './request.ts'
import { refuse } from './request.ts'
import { NSID_HANDLERS } from './nsid.ts'
import { ROUTE_HANDLERS } from './route.ts'
import { RULE_HANDLERS } from './rule.ts'

/** Of what there is none here, there is an empty list: queueing disciplines, nexthop objects. */
const RTM_GETQDISC = 38
const RTM_GETNEXTHOP = 106
const empty = { dump: () => [] }

const HANDLERS: Handlers = {
  ...LINK_HANDLERS,
  ...ADDR_HANDLERS,
  ...ROUTE_HANDLERS,
  ...NEIGH_HANDLERS,
  ...RULE_HANDLERS,
  ...NSID_HANDLERS,
  [RTM_GETQDISC]: empty,
  [RTM_GETNEXTHOP]: empty,
}

/** What a request gets: an answer, a list (a dump), a refusal, or, undefined, nothing but an acknowledgment. */
export type Outcome = { readonly list: Iterable<Answer> } | Answer | Refusal | undefined

export function routeRequest(context: Context, request: NetlinkMessage): Outcome {
  // Every request begins with a family (struct rtgenmsg); who leaves it out gets no error.
  if (request.body.length < 1) return undefined
  const handler = HANDLERS[request.type]
  // Two of four kinds of request ask: RTM_NEW, DEL, GET, SET.
  const dumps = request.type % 4 === 2 && (request.flags & NLM_F_DUMP) !== 0
  return answer(handler?.[dumps ? 'dump' : 'act'], context, request)
}

/** Also for other protocols. */
export function answer(
  handle:
    | ((c: Context, r: NetlinkMessage) => Iterable<Answer> | Answer | Refusal | undefined)
    | undefined,
  context: Context,
  request: NetlinkMessage,
): Outcome {
  if (handle === undefined) return refuse(-EOPNOTSUPP)
  const given = handle(context, request)
  return given !== undefined && Symbol.iterator in given ? { list: given } : given
}
