// bind(2), and the port that a socket holds from then on until it is closed.
import { EADDRINUSE, EADDRNOTAVAIL, EINVAL } from '../base/errno.ts'
import * as libc from '../ffi/libc.ts'
import { RECORD } from '../shm/layout.ts'
import type { Address } from '../wire/address.ts'
import type { Call } from './calls.ts'
import type { Ground } from './ground.ts'
import { OPT_REUSEADDR, OPT_REUSEPORT, OPT_V6ONLY } from './option-rules.ts'
import { bindScope, parseBindAddress } from './sockaddr.ts'
import type { Stream } from './stream.ts'
import * as T from './table.ts'

/** 0 or a negative errno. */
export function bindSocket(ground: Ground, s: Stream, call: Call): number {
  const to = parseBindAddress(call.data, call.length, s.get(T.FAMILY))
  if (typeof to === 'number') return to
  if (s.state !== T.OPEN || s.has(T.BOUND)) return -EINVAL
  if (s.options[OPT_V6ONLY] !== 0 && to.address.isV4 && familyOf(s) === 6) return -EINVAL
  const scope = bindScope(to)
  if (scope < 0) return scope
  if (!to.address.isUnspecified && !ground.stack.isLocal(to.address)) return -EADDRNOTAVAIL
  const got = bindTo(ground, s, to.address, to.port)
  // As Linux says of it: such a socket has no peers of IPv4.
  if (got === 0 && !to.address.isV4 && !to.address.isUnspecified) s.options[OPT_V6ONLY] = 1
  return got
}

/** Takes a port (0: any free one) for the socket. */
export function bindTo(ground: Ground, s: Stream, address: Address, port: number): number {
  const v6only = s.options[OPT_V6ONLY] !== 0
  const reuse = s.options[OPT_REUSEADDR] !== 0
  const share = s.options[OPT_REUSEPORT] !== 0
  const { ports } = ground.stack.tcp
  let got = ports.bind(address, port, v6only, reuse, share)
  if (got === -EADDRINUSE && ground.reclaimPort(port))
    got = ports.bind(address, port, v6only, reuse, share)
  if (got < 0) return got
  s.local = address
  s.boundTo = address
  s.set(T.PORT, got)
  s.mark(T.BOUND | T.HOLDS_PORT)
  s.mark((v6only ? T.HELD_V6ONLY : 0) | (reuse ? T.HELD_REUSE : 0) | (share ? T.HELD_SHARE : 0))
  s.shareName(RECORD.local, address, got)
  return 0
}

/** Gives the port back. */
export function releasePort(ground: Ground, s: Stream): void {
  if (!s.has(T.HOLDS_PORT)) return
  s.unmark(T.HOLDS_PORT)
  const [v6only, reuse, share] = heldAs(s)
  ground.stack.tcp.ports.drop(s.boundTo, s.get(T.PORT), v6only, reuse, 'bound', share)
}

/** In a new thread's tables: holds the port as before. */
export function holdPortAgain(ground: Ground, s: Stream): void {
  if (!s.has(T.HOLDS_PORT)) return
  const [v6only, reuse, share] = heldAs(s)
  ground.stack.tcp.ports.hold(s.boundTo, s.get(T.PORT), v6only, reuse, 'bound', share)
}

const heldAs = (s: Stream) => [s.has(T.HELD_V6ONLY), s.has(T.HELD_REUSE), s.has(T.HELD_SHARE)]

/** `to` has the name and the port that `from` had. */
export function moveBinding(from: Stream, to: Stream): void {
  to.local = from.boundTo
  to.boundTo = from.boundTo
  to.set(T.PORT, from.get(T.PORT))
  to.mark(
    from.get(T.FLAGS) & (T.BOUND | T.HOLDS_PORT | T.HELD_V6ONLY | T.HELD_REUSE | T.HELD_SHARE),
  )
  from.unmark(T.HOLDS_PORT)
  to.shareName(RECORD.local, to.local, to.get(T.PORT))
}

export const familyOf = (s: Stream) => (s.get(T.FAMILY) === libc.AF_INET6 ? 6 : 4)
