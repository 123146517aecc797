// Ping sockets (icmp(7), IPPROTO_ICMP with SOCK_DGRAM): the port of their name is the ident of their requests.
import type { PingEndpoint } from '../../stack/stack.ts'
import { AF_INET6 } from '../../ffi/libc.ts'
import type { Ground } from '../ground.ts'
import { OPT_V6ONLY } from '../option-rules.ts'
import * as T from '../table.ts'
import type { Kind } from './kind.ts'
import type { MessageSocket } from './message-socket.ts'
import { SenderSocket } from './sender-socket.ts'

class PingSocket extends SenderSocket<PingEndpoint> {
  constructor(ground: Ground, m: MessageSocket) {
    const { ping } = ground.stack
    super(ground, m, ping, user => ping.open(m.family === AF_INET6 ? 6 : 4, user))
    if (m.recovering) return
    // Linux: IPV6_V6ONLY is set.
    m.options[OPT_V6ONLY] = 1
    m.setLocal(m.any, 0)
  }

  protected get localPort(): number {
    return this.endpoint.ident
  }

  /** The ICMP header is text. */
  protected quotedFrom(): number {
    return 0
  }

  protected override keepNames(): void {
    super.keepNames()
    this.m.mark(T.BOUND)
    if (!this.endpoint.identBound) this.m.unmark(T.BOUND)
  }

  override recover(): void {
    super.recover()
    this.endpoint.identBound = this.m.has(T.BOUND)
  }
}

export const pingSocket = (ground: Ground, m: MessageSocket): Kind => new PingSocket(ground, m)
