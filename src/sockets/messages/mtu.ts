// Of the path to a socket's peer (IP_MTU, IPV6_MTU, IPV6_PATHMTU).
import type { Address } from '../../wire/address.ts'
import type { Ground } from '../ground.ts'

interface Connected {
  readonly connected: boolean
  readonly local: Address
  readonly remote: Address
}

/** In bytes; undefined: there is no peer, or no path. */
export function mtuTo(ground: Ground, { connected, local, remote }: Connected): number | undefined {
  if (!connected) return undefined
  const path = ground.stack.path(local, remote)
  return typeof path === 'number' ? undefined : path.mtu
}
