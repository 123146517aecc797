// RTM_GETNSID: network namespaces known here by number. There are none; iproute2 asks at its start.
import { type NetlinkMessage, attribute, concat, i32s } from '../wire/netlink.ts'
import type { Answer, Context, Handlers } from './request.ts'

const RTM_NEWNSID = 88
const RTM_GETNSID = 90
const NETNSA_NSID = 1
const NOT_ASSIGNED = -1

const get = (_context: Context, _request: NetlinkMessage): Answer => ({
  type: RTM_NEWNSID,
  body: concat([i32s(0), attribute(NETNSA_NSID, i32s(NOT_ASSIGNED))]),
})

export const NSID_HANDLERS: Handlers = { [RTM_GETNSID]: { act: get, dump: () => [] } }
