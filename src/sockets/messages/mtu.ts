// IP_MTU and IPV6_MTU: of the path to the peer.
import { ENOTCONN } from '../../base/errno.ts'
import type { Address } from '../../wire/address.ts'
import type { Call } from '../calls.ts'
import type { Ground } from '../ground.ts'
import { IPPROTO_IP, IPPROTO_IPV6 } from '../option-table.ts'
import { giveInt } from './ip-options.ts'

const IP_MTU = 14
const IPV6_MTU = 24

interface Connected {
  readonly connected: boolean
  readonly local: Address
  readonly remote: Address
}

/** getsockopt(2). Undefined: another option. */
export function getMtu(
  ground: Ground,
  { connected, local, remote }: Connected,
  call: Call,
): number | undefined {
  const [level, name] = call.arg
  const isMtu =
    (level === IPPROTO_IP && name === IP_MTU) || (level === IPPROTO_IPV6 && name === IPV6_MTU)
  if (!isMtu) return undefined
  if (!connected) return -ENOTCONN
  const path = ground.stack.path(local, remote)
  return typeof path === 'number' ? -ENOTCONN : giveInt(call, path.mtu)
}
