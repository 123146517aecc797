// Where sendmsg(2) says that a datagram shall go.
import { AF_INET, AF_INET6 } from '../../ffi/libc.ts'
import type { Outgoing } from '../../stack/stack.ts'
import { AF_UNSPEC, connectScope, parseSockaddr } from '../sockaddr.ts'
import type { Inbound } from './inbound.ts'
import type { MessageSocket } from './message-socket.ts'

/** Takes the message's name, if it has one, into `out`. 0 or a negative errno. */
export function readDestination(m: MessageSocket, message: Inbound, out: Outgoing): number {
  if (message.nameLength === 0) return 0
  const bytes = message.bytes.subarray(message.nameAt, message.nameAt + message.nameLength)
  // Linux: a program may name nobody on an AF_INET6 socket, or an IPv4 address as such.
  const family = bytes[0] | (bytes[1] << 8)
  if (m.family === AF_INET6 && family === AF_UNSPEC && message.nameLength >= 2) return 0
  const as = m.family === AF_INET6 && family === AF_INET ? AF_INET : m.family
  const fixed =
    as === AF_INET && family === AF_UNSPEC
      ? Uint8Array.from([AF_INET, 0, ...bytes.subarray(2)])
      : bytes
  const to = parseSockaddr(fixed, bytes.length, as)
  if (typeof to === 'number') return to
  const scope = connectScope(to, m.local)
  if (scope < 0) return scope
  out.to(to.address, to.port)
  return 0
}
