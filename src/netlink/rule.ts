// RTM_*RULE: the rules that Linux begins with. The stack has no others.
import { EOPNOTSUPP } from '../base/errno.ts'
import { TABLE_LOCAL, TABLE_MAIN } from '../view/routes.ts'
import { type NetlinkMessage, attribute, concat, i32s, u8s } from '../wire/netlink.ts'
import {
  AF_INET,
  AF_INET6,
  type Answer,
  type Context,
  type Handlers,
  NOTHING,
  refuse,
} from './request.ts'

const RTM_NEWRULE = 32
const RTM_DELRULE = 33
const RTM_GETRULE = 34

const FRA_PRIORITY = 6
const FRA_SUPPRESS_PREFIXLEN = 14
const FRA_TABLE = 15
const FRA_PROTOCOL = 21
const FR_ACT_TO_TBL = 1
const RTPROT_KERNEL = 2
const TABLE_DEFAULT = 253

/** Family, priority, table. */
const RULES = [
  [AF_INET, 0, TABLE_LOCAL],
  [AF_INET, 32766, TABLE_MAIN],
  [AF_INET, 32767, TABLE_DEFAULT],
  [AF_INET6, 0, TABLE_LOCAL],
  [AF_INET6, 32766, TABLE_MAIN],
] as const

function* dump(_context: Context, { body }: NetlinkMessage): Generator<Answer> {
  for (const [family, priority, table] of RULES) {
    if (body[0] !== family && body[0] !== 0) continue
    yield {
      type: RTM_NEWRULE,
      body: concat([
        u8s(family, 0, 0, 0, table, 0, 0, FR_ACT_TO_TBL, 0, 0, 0, 0),
        attribute(FRA_TABLE, i32s(table)),
        attribute(FRA_SUPPRESS_PREFIXLEN, i32s(-1)),
        priority === 0 ? NOTHING : attribute(FRA_PRIORITY, i32s(priority)),
        attribute(FRA_PROTOCOL, u8s(RTPROT_KERNEL)),
      ]),
    }
  }
}

const act = () => refuse(-EOPNOTSUPP)

export const RULE_HANDLERS: Handlers = {
  [RTM_NEWRULE]: { act },
  [RTM_DELRULE]: { act },
  [RTM_GETRULE]: { dump },
}
